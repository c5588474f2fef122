package peers

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/coder/websocket"
)

// paths are what every upstream answers. All take any method unless they say so.
//
//	/small                 a small JSON document with a declared length
//	/empty                 200 with Content-Length: 0
//	/echo                  the request's body, declared as the request declared it
//	/digest                {"sha256": hex, "size": bytes} of the request's body
//	/bytes?n=N             N bytes of Pattern with a declared length; &gate=G waits at G before the last byte
//	/chunks?n=N            N bytes of Pattern without a length, flushed at once; &gate=G waits at G before the end
//	/sse?id=ID&n=N         N events; event k+1 is sent only after Stream(ID).Ack(k)
//	/status/NNN            that status; 3xx point to /small; &gate=G waits at G first
//	/head                  GET: 12 bytes; HEAD: their length
//	/trailers              a body, then an announced trailer and one that was not
//	/redirect?to=URL       302
//	/early                 413 before any of the body is read
//	/abort?n=N             N bytes of a longer answer, then the connection is cut; &chunked=1 without a length
//	/slow?gate=G           no header before G opens
//	/headers               the request as it came, as JSON
//	/ws                    WebSocket echo
func (u *Upstream) paths(rest http.Handler) http.Handler {
	if rest == nil {
		rest = http.NotFoundHandler()
	}
	byName := map[string]http.HandlerFunc{
		"small": small, "empty": empty, "echo": echo, "digest": digest,
		"bytes": u.declared, "chunks": u.chunks, "sse": u.events,
		"status": u.status, "head": head, "trailers": trailers, "redirect": redirect,
		"early": early, "abort": abort, "slow": u.slow, "headers": headers, "ws": webSocketEcho,
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		if handler := byName[name]; handler != nil {
			handler(w, r)
			return
		}
		rest.ServeHTTP(w, r)
	})
}

func small(w http.ResponseWriter, r *http.Request) {
	body := fmt.Sprintf("{\"ok\":true,\"path\":%q}\n", r.URL.Path)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = io.WriteString(w, body)
}

func empty(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "0") }

func echo(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	// HTTP/2 is full duplex anyway and says that this is not supported.
	_ = control.EnableFullDuplex()
	if t := r.Header.Get("Content-Type"); t != "" {
		w.Header().Set("Content-Type", t)
	}
	if r.ContentLength >= 0 {
		w.Header().Set("Content-Length", strconv.FormatInt(r.ContentLength, 10))
	}
	buffer := make([]byte, 32<<10)
	for {
		n, err := r.Body.Read(buffer)
		if _, failed := w.Write(buffer[:n]); failed != nil {
			return
		}
		if r.ContentLength < 0 {
			_ = control.Flush()
		}
		if err == io.EOF {
			return
		}
		if err != nil {
			panic(http.ErrAbortHandler)
		}
	}
}

// BodyDigest is the answer of /digest.
type BodyDigest struct {
	SHA256 string `json:"sha256"` // hex
	Size   int64  `json:"size"`   // bytes
}

func digest(w http.ResponseWriter, r *http.Request) {
	hash := sha256.New()
	n, err := io.Copy(hash, r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	writeJSON(w, BodyDigest{SHA256: hex.EncodeToString(hash.Sum(nil)), Size: n})
}

func (u *Upstream) declared(w http.ResponseWriter, r *http.Request) {
	n, ok := size(w, r)
	if !ok {
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
	if r.Method == http.MethodHead {
		return
	}
	if gate := r.URL.Query().Get("gate"); gate != "" && n > 0 {
		if _, err := io.CopyN(w, NewPattern(), n-1); err != nil {
			return
		}
		_ = http.NewResponseController(w).Flush()
		if u.Gate(gate).wait(r.Context()) != nil {
			return
		}
		_, _ = w.Write(patternAt(n-1, 1))
		return
	}
	_, _ = io.CopyN(w, NewPattern(), n)
}

func (u *Upstream) chunks(w http.ResponseWriter, r *http.Request) {
	n, ok := size(w, r)
	if !ok {
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	control := http.NewResponseController(w)
	_ = control.Flush()
	if _, err := io.CopyN(w, NewPattern(), n); err != nil {
		return
	}
	_ = control.Flush()
	if gate := r.URL.Query().Get("gate"); gate != "" {
		_ = u.Gate(gate).wait(r.Context())
	}
}

func (u *Upstream) events(w http.ResponseWriter, r *http.Request) {
	n, ok := size(w, r)
	if !ok {
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	control := http.NewResponseController(w)
	_ = control.Flush()
	stream := u.Stream(r.URL.Query().Get("id"))
	for k := 1; k <= int(n); k++ {
		if _, err := fmt.Fprintf(w, "id: %d\ndata: event %d\n\n", k, k); err != nil {
			return
		}
		if control.Flush() != nil || stream.wait(r.Context(), k) != nil {
			return
		}
	}
}

func (u *Upstream) status(w http.ResponseWriter, r *http.Request) {
	code, err := strconv.Atoi(path.Base(r.URL.Path))
	if err != nil || code < 200 || code > 999 {
		http.Error(w, "/status/NNN: NNN from 200 to 999", http.StatusBadRequest)
		return
	}
	if gate := r.URL.Query().Get("gate"); gate != "" && u.Gate(gate).wait(r.Context()) != nil {
		panic(http.ErrAbortHandler)
	}
	if code/100 == 3 {
		w.Header().Set("Location", "/small")
	}
	w.WriteHeader(code)
	if code != http.StatusNoContent && code != http.StatusNotModified {
		_, _ = fmt.Fprintf(w, "status %d\n", code)
	}
}

func head(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Length", "12")
	if r.Method != http.MethodHead {
		_, _ = io.WriteString(w, "twelve bytes")
	}
}

func trailers(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Trailer", "X-Announced")
	_, _ = io.WriteString(w, "a body with trailers\n")
	_ = http.NewResponseController(w).Flush()
	w.Header().Set("X-Announced", "yes")
	w.Header().Set(http.TrailerPrefix+"X-Unannounced", "yes")
}

func redirect(w http.ResponseWriter, r *http.Request) {
	to := r.URL.Query().Get("to")
	if to == "" {
		to = "/small"
	}
	http.Redirect(w, r, to, http.StatusFound)
}

func early(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "no need to read on", http.StatusRequestEntityTooLarge)
}

func abort(w http.ResponseWriter, r *http.Request) {
	n, ok := size(w, r)
	if !ok {
		return
	}
	if r.URL.Query().Get("chunked") == "" {
		w.Header().Set("Content-Length", strconv.FormatInt(n+1, 10))
	}
	_, _ = io.CopyN(w, NewPattern(), n)
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

func (u *Upstream) slow(w http.ResponseWriter, r *http.Request) {
	if u.Gate(r.URL.Query().Get("gate")).wait(r.Context()) != nil {
		panic(http.ErrAbortHandler)
	}
	small(w, r)
}

// ReceivedRequest is the answer of /headers.
type ReceivedRequest struct {
	Method     string      `json:"method"`
	RequestURI string      `json:"request_uri"`
	Proto      string      `json:"proto"`
	Host       string      `json:"host"`
	Header     http.Header `json:"header"`
	Length     int64       `json:"length"`   // -1: not declared
	Encoding   []string    `json:"encoding"` // Transfer-Encoding
	Trailer    http.Header `json:"trailer"`
}

func headers(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	writeJSON(w, ReceivedRequest{
		Method: r.Method, RequestURI: r.RequestURI, Proto: r.Proto, Host: r.Host, Header: r.Header,
		Length: r.ContentLength, Encoding: r.TransferEncoding, Trailer: r.Trailer,
	})
}

func webSocketEcho(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{OriginPatterns: []string{"*"}})
	if err != nil {
		return
	}
	defer func() { _ = conn.CloseNow() }()
	for {
		kind, message, err := conn.Read(r.Context())
		if err != nil {
			return
		}
		if err := conn.Write(r.Context(), kind, message); err != nil {
			return
		}
	}
}

// size reads n, a number of bytes or events, from the query only: a form's body
// is not ours to read.
func size(w http.ResponseWriter, r *http.Request) (int64, bool) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		http.Error(w, "malformed query", http.StatusBadRequest)
		return 0, false
	}
	n, err := strconv.ParseInt(query.Get("n"), 10, 64)
	if err != nil || n < 0 {
		http.Error(w, "n: how much, not negative", http.StatusBadRequest)
		return 0, false
	}
	return n, true
}

func writeJSON(w http.ResponseWriter, v any) {
	var body bytes.Buffer
	if err := json.NewEncoder(&body).Encode(v); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(body.Len()))
	_, _ = w.Write(body.Bytes())
}
