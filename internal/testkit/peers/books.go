package peers

import (
	"compress/gzip"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// Books is the handler of a service that has invoices, JSON by id, and takes
// payments:
//
//	GET /v1/invoices/ID   the invoice, gzipped for who accepts it; 404 for others
//	POST PATH             what was posted, as it came
func Books(invoices map[string]string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/invoices/{id}", func(w http.ResponseWriter, r *http.Request) {
		text, ok := invoices[r.PathValue("id")]
		if !ok {
			http.NotFound(w, r)
			return
		}
		writeEncoded(w, r, text)
	})
	mux.HandleFunc("POST /", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body)
	})
	return mux
}

// gzip, else as it is.
func writeEncoded(w http.ResponseWriter, r *http.Request, text string) {
	w.Header().Set("Content-Type", "application/json")
	if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.Header().Set("Content-Length", strconv.Itoa(len(text)))
		_, _ = io.WriteString(w, text)
		return
	}
	w.Header().Set("Content-Encoding", "gzip")
	z := gzip.NewWriter(w)
	_, _ = io.WriteString(z, text)
	_ = z.Close()
}
