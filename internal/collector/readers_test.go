package collector

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signet-egress/signet/internal/collector/download"
)

// pieces is a file that is made of pieces, one every so often.
type pieces struct {
	n     int
	every time.Duration
}

const piece = 16 << 10

// Name implements download.File.
func (pieces) Name() string { return "pieces.zip" }

// Write implements download.File.
func (p pieces) Write(_ context.Context, w io.Writer) error {
	for range p.n {
		if _, err := w.Write(make([]byte, piece)); err != nil {
			return err
		}
		<-time.After(p.every) // of synctest's clock
	}
	return nil
}

// piped is a listener with one connection, which holds nothing in buffers: what is
// not read cannot be written.
type piped struct{ accepted chan net.Conn }

func (l piped) Accept() (net.Conn, error) {
	conn, ok := <-l.accepted
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}
func (piped) Close() error   { return nil }
func (piped) Addr() net.Addr { return &net.TCPAddr{} }

// An export lasts for as long as its reader takes what comes, be that hours. A
// reader that stops is cut, be it of an export or of another answer.
func TestReaders(t *testing.T) {
	endless := pieces{n: 1 << 20}
	tests := map[string]struct {
		answer func(http.ResponseWriter, *http.Request) error
		read   int64         // bytes that the client takes, and then no more
		ends   error         // of the handler's last write
		within time.Duration // from the request on
	}{
		"a long export":                  {exporting(pieces{n: 1000, every: 30 * time.Second}), 1 << 40, nil, 9 * time.Hour},
		"an export that nobody reads on": {exporting(endless), 10 * piece, os.ErrDeadlineExceeded, 2 * time.Minute},
		"an answer that nobody reads on": {func(w http.ResponseWriter, r *http.Request) error {
			return endless.Write(r.Context(), w)
		}, 10 * piece, os.ErrDeadlineExceeded, answerWithin},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ended := make(chan error, 1)
				s, err := newSite(t.Context(), "http-listen", "127.0.0.1:0", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					ended <- test.answer(w, r)
				}), slog.New(slog.DiscardHandler))
				if err != nil {
					t.Fatal(err)
				}
				if err := s.listener.Close(); err != nil {
					t.Fatal(err)
				}
				l := piped{accepted: make(chan net.Conn, 1)}
				s.listener = l
				served := make(chan error, 1)
				go func() { served <- s.serve() }()

				client, server := net.Pipe()
				l.accepted <- server
				began := time.Now()
				if _, err := io.WriteString(client, "GET / HTTP/1.1\r\nHost: collector.example\r\nConnection: close\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
				response, err := http.ReadResponse(bufio.NewReader(client), nil)
				if err != nil {
					t.Fatal(err)
				}
				n, err := io.Copy(io.Discard, io.LimitReader(response.Body, test.read))
				if test.ends == nil && (err != nil || n < 1000*piece) {
					t.Errorf("the reader got %d bytes, %v", n, err)
				}
				if err := <-ended; !errors.Is(err, test.ends) {
					t.Errorf("the answer ended with %v, want %v", err, test.ends)
				}
				if took := time.Since(began); took > test.within {
					t.Errorf("the answer took %s, want at most %s", took, test.within)
				}
				close(l.accepted)
				if err := errors.Join(client.Close(), s.server.Shutdown(t.Context()), <-served); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func exporting(p pieces) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		return download.Serve(r.Context(), w, p)
	}
}
