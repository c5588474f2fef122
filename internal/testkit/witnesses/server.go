package witnesses

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Server is a witness that answers as C2SP tlog-witness has it, unless it is told
// to misbehave. It is an http.Handler.
type Server struct {
	Cosigner

	mu        sync.Mutex
	logs      map[string]tlog.Tree     // by the verifier keys of those that it trusts: the newest that it has cosigned
	misbehave http.HandlerFunc         // nil: it does not
	asked     int                      // requests so far
	tamper    func(line string) string // what becomes of its cosignatures
}

// NewServer returns a witness that trusts logs by their verifier keys.
func NewServer(name string, logs ...string) *Server {
	s := &Server{Cosigner: NewCosigner(name), logs: make(map[string]tlog.Tree)}
	for _, key := range logs {
		s.logs[key] = tlog.Tree{}
	}
	return s
}

// Misbehave has it answer as h does from now on; nil: well again.
func (s *Server) Misbehave(h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.misbehave = h
}

// Tamper has it change its cosignatures.
func (s *Server) Tamper(change func(line string) string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tamper = change
}

// Seen is the newest tree of a log that it has cosigned.
func (s *Server) Seen(key string) tlog.Tree {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logs[key]
}

// See has it take a tree for the newest of a log, as it would had somebody else
// shown it another log.
func (s *Server) See(key string, tree tlog.Tree) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logs[key] = tree
}

// Asked tells how many requests came.
func (s *Server) Asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked++
	misbehave := s.misbehave
	s.mu.Unlock()
	if misbehave != nil {
		misbehave(w, r)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 10<<10))
	head, signed, ok := strings.Cut(string(body), "\n\n")
	if err != nil || !ok || r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/add-checkpoint") {
		http.Error(w, "malformed", http.StatusBadRequest)
		return
	}
	status, answer := s.add(head, signed)
	if status == http.StatusConflict && answer != "" {
		w.Header().Set("Content-Type", "text/x.tlog.size")
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, answer) // the client may have left
}

// add is add-checkpoint: the status, and the answer's body.
func (s *Server) add(head, signed string) (status int, answer string) {
	var old int64
	lines := strings.Split(head, "\n")
	if n, err := fmt.Sscanf(lines[0], "old %d", &old); n != 1 || err != nil || lines[0] != fmt.Sprintf("old %d", old) || len(lines) > 1+63 {
		return http.StatusBadRequest, ""
	}
	proof := make(tlog.TreeProof, len(lines)-1)
	for i, line := range lines[1:] {
		var err error
		if proof[i], err = tlog.ParseHash(line); err != nil {
			return http.StatusBadRequest, ""
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key, text, status := s.open(signed)
	if status != http.StatusOK {
		return status, ""
	}
	tree, err := treeOf(text)
	if err != nil || old > tree.N {
		return http.StatusBadRequest, ""
	}
	switch known := s.logs[key]; {
	case old != known.N:
		return http.StatusConflict, fmt.Sprintf("%d\n", known.N)
	case old == tree.N && old > 0 && tree.Hash != known.Hash:
		return http.StatusConflict, ""
	case old > 0 && old < tree.N && tlog.CheckTree(proof, tree.N, tree.Hash, known.N, known.Hash) != nil, (old == 0 || old == tree.N) && len(proof) > 0:
		return http.StatusUnprocessableEntity, ""
	}
	s.logs[key] = tree
	answer = s.Line(text, time.Now())
	if s.tamper != nil {
		answer = s.tamper(answer)
	}
	return http.StatusOK, answer
}

// open finds the log that has signed a checkpoint.
func (s *Server) open(signed string) (key, text string, status int) {
	origin, _, _ := strings.Cut(signed, "\n")
	status = http.StatusNotFound
	for key := range s.logs {
		v, err := note.NewVerifier(key)
		if err != nil || v.Name() != origin {
			continue
		}
		status = http.StatusForbidden
		if n, err := note.Open([]byte(signed), note.VerifierList(v)); err == nil {
			return key, n.Text, http.StatusOK
		}
	}
	return "", "", status
}

func treeOf(text string) (tree tlog.Tree, err error) {
	lines := strings.Split(text, "\n")
	if len(lines) < 4 {
		return tree, fmt.Errorf("%d lines", len(lines))
	}
	if tree.N, err = strconv.ParseInt(lines[1], 10, 64); err == nil {
		tree.Hash, err = tlog.ParseHash(lines[2])
	}
	return tree, err
}
