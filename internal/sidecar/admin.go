package sidecar

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
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
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(st) // a reader that left is no concern of ours
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
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := s.ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(w, "ready")
	})
	return mux
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

func newOpsServer(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
}
