package sidecar

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"time"
)

// State is what GET /v1/state answers on the admin socket.
type State struct {
	Build         string `json:"build"`
	Listen        string `json:"listen"`
	PolicyVersion string `json:"policy_version"`
	Mode          string `json:"mode"`
	ChainID       string `json:"chain_id"`
	Seq           int64  `json:"seq"`
	Head          string `json:"head"`
	OpenIntents   int    `json:"open_intents"`
	Unavailable   string `json:"unavailable,omitempty"` // why egress is denied
}

// listenAdmin binds the admin socket, 0600 from its first moment.
func listenAdmin(ctx context.Context, path string) (net.Listener, error) {
	if err := removeStale(ctx, path); err != nil {
		return nil, err
	}
	old := syscall.Umask(0o177)
	defer syscall.Umask(old)
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("binding the admin socket: %w (set admin_socket to a path in a directory that Signet may write, of at most 107 bytes)", err)
	}
	return l, nil
}

// removeStale removes a socket that a killed sidecar left behind.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking at the admin socket: %w", err)
	}
	if info.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("admin_socket %s exists and is not a socket: remove it or set another path", path)
	}
	c, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err == nil {
		_ = c.Close()
		return fmt.Errorf("admin_socket %s is in use: another sidecar runs with it", path)
	}
	return os.Remove(path)
}

func (s *Sidecar) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/state", s.serveState)
	mux.HandleFunc("GET /v1/records", s.serveRecords)
	mux.HandleFunc("GET /v1/tunnels", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, s.proxy.Tunnels()) })
	mux.HandleFunc("GET /v1/pins", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, s.pins()) })
	mux.HandleFunc("GET /v1/keys", s.serveKeys)
	mux.HandleFunc("POST /v1/keys/rotate", s.serveRotate)
	mux.HandleFunc("GET /v1/journal", s.serveJournal)
	mux.HandleFunc("POST /v1/journal/seal", s.serveSeal)
	mux.HandleFunc("GET /v1/checkpoint", s.serveCheckpoint)
	mux.HandleFunc("POST /v1/reload", s.serveReload)
	mux.HandleFunc("PUT /v1/log-level", s.serveLogLevel)
	return mux
}

func (s *Sidecar) serveState(w http.ResponseWriter, _ *http.Request) {
	head := s.journal.Head()
	st := State{
		Build: s.build, Listen: s.Addr().String(), PolicyVersion: s.snapshot.Load().Version,
		Mode: string(s.snapshot.Load().Policy.Mode()), ChainID: head.Chain, Seq: head.Seq, Head: head.Hash,
		OpenIntents: s.journal.OpenIntents(),
	}
	if err := s.journal.Err(); err != nil {
		st.Unavailable = err.Error()
	}
	writeJSON(w, st)
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // a reader that left is no concern of ours
}

// serveReload reloads now. 422 has the reason why what was in force stays.
func (s *Sidecar) serveReload(w http.ResponseWriter, r *http.Request) {
	done, err := s.Reload(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	writeJSON(w, done)
}

// serveLogLevel sets the level ?level=debug|info|warn|error until the next reload
// or restart.
func (s *Sidecar) serveLogLevel(w http.ResponseWriter, r *http.Request) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(r.FormValue("level"))); err != nil {
		http.Error(w, "level must be debug, info, warn or error", http.StatusBadRequest)
		return
	}
	s.reloading.level.Set(level)
	w.WriteHeader(http.StatusNoContent)
}

// serveRecords streams the chain from ?from=SEQ as JSON lines, and with
// ?follow=1 what is appended later.
func (s *Sidecar) serveRecords(w http.ResponseWriter, r *http.Request) {
	from := int64(1)
	if v := r.FormValue("from"); v != "" {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < 1 {
			http.Error(w, "from must be a sequence number of at least 1", http.StatusBadRequest)
			return
		}
		from = n
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	rc := http.NewResponseController(w)
	for {
		changed := s.journal.Changed()
		next, err := s.writeRecords(r.Context(), w, from)
		from = next
		if err != nil {
			panic(http.ErrAbortHandler) // a reader must not take what it has for all there is
		}
		if r.FormValue("follow") != "1" {
			return
		}
		if rc.Flush() != nil {
			return
		}
		select {
		case <-changed:
		case <-s.stopping:
			return
		case <-r.Context().Done():
			return
		}
	}
}

func (s *Sidecar) writeRecords(ctx context.Context, w http.ResponseWriter, from int64) (next int64, err error) {
	next = from
	err = s.journal.Range(ctx, from, func(seq int64, line []byte) error {
		next = seq + 1
		if _, err := w.Write(line); err != nil {
			return err
		}
		_, err := w.Write([]byte{'\n'})
		return err
	})
	return next, err
}

// opsHandler serves /metrics, /healthz and /readyz.
func (s *Sidecar) opsHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.metrics.Handler())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", s.serveReady)
	return mux
}

// serveReady answers in one line; with ?verbose also what stands in the way of
// nothing yet, such as a reload that failed.
func (s *Sidecar) serveReady(w http.ResponseWriter, r *http.Request) {
	text, code := "ready\n", http.StatusOK
	if err := s.ready(); err != nil {
		text, code = err.Error()+"\n", http.StatusServiceUnavailable
	}
	if r.URL.Query().Has("verbose") {
		text += s.reloading.describe()
		if used, high := s.journal.DiskUse(); high {
			text += fmt.Sprintf("journal: %d bytes on the disk, above journal.high_water (%d); egress is denied from %d on\n",
				used, s.config.Journal.HighWater, s.config.Journal.HardMark)
		}
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, text)
}

// ready says why egress is not served, or nil.
func (s *Sidecar) ready() error {
	select {
	case <-s.stopping:
		return errors.New("stopping")
	default:
	}
	return s.journal.Err()
}

func (s *Sidecar) newOpsServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
}

// Pin is a remembered name as operators see it.
type Pin struct {
	Host      string       `json:"host"`
	Addresses []netip.Addr `json:"addresses"`
	CNAME     []string     `json:"cname,omitempty"`
	Resolver  string       `json:"resolver"`
	Expires   time.Time    `json:"expires"`
}

func (s *Sidecar) pins() []Pin {
	list := []Pin{}
	for _, p := range s.resolver.Pins() {
		list = append(list, Pin{Host: p.Host, Addresses: p.Addrs, CNAME: p.CNAME, Resolver: p.Resolver, Expires: p.Expires})
	}
	return list
}
