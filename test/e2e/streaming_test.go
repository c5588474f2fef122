package e2e

import (
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/signet-egress/signet/internal/testkit"
	"github.com/signet-egress/signet/receipts"
)

// Each event leaves the upstream only after the client has printed the one
// before: whatever holds an event back makes the test hang.
func TestEventsStreamInLockStep(t *testing.T) {
	const events = 5
	for _, m := range allModes {
		t.Run(m.name, func(t *testing.T) {
			s := newSite(t, options{})
			car := s.start()
			version := map[string]string{"h1": "--http1.1", "h2": "--http2"}[m.protocol]
			stream := testkit.Start(t, testkit.Client{}.CurlCommand(t, "--no-buffer", version, "--proxy", car.proxyURL(),
				"--cacert", m.roots(car), m.url(s, fmt.Sprintf("/sse?id=s&n=%d", events))))
			for k := 1; k <= events; k++ {
				want := fmt.Sprintf("data: event %d", k)
				_, err := stream.Line(t.Context(), func(line string) bool { return line == want })
				must(t, err)
				m.upstream(s).Stream("s").Ack(k)
			}
			must(t, stream.Wait())
			if r := car.only(); r.Outcome != receipts.Forwarded {
				t.Errorf("%s %+v", r.Outcome, r.Policy)
			}
		})
	}
}

// A request streams as its answer does: each part is sent only after the one
// before has come back.
func TestRequestsStreamInLockStep(t *testing.T) {
	for _, m := range allModes {
		t.Run(m.name, func(t *testing.T) {
			s := newSite(t, options{})
			car := s.start()
			body, parts := io.Pipe()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, m.url(s, "/echo"), body)
			must(t, err)
			client := car.client(m)
			// The answer's header may come with the first part of the body.
			sent := make(chan error, 1)
			go func() { sent <- writePart(parts) }()
			resp, err := client.Do(req)
			must(t, err)
			defer func() { must(t, resp.Body.Close()) }()
			must(t, <-sent)
			readPart(t, resp.Body)
			for range 4 {
				must(t, writePart(parts))
				readPart(t, resp.Body)
			}
			must(t, parts.Close())
			rest, err := io.ReadAll(resp.Body)
			must(t, err)
			if len(rest) != 0 {
				t.Errorf("after the last part came %q", rest)
			}
			if r := car.only(); r.Outcome != receipts.Forwarded {
				t.Errorf("%s %+v", r.Outcome, r.Policy)
			}
		})
	}
}

func writePart(w io.Writer) error {
	_, err := io.WriteString(w, message)
	return err
}

func readPart(t *testing.T, r io.Reader) {
	t.Helper()
	part := make([]byte, len(message))
	_, err := io.ReadFull(r, part)
	must(t, err)
	if string(part) != message {
		t.Fatalf("%q came back", part)
	}
}
