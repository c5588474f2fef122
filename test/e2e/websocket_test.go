package e2e

import (
	"testing"

	"github.com/coder/websocket"

	"github.com/signet-egress/signet/receipts"
)

// A WebSocket passes through, opaque or not, also where the upstream would
// rather speak h2, and is one exchange however many messages it carries.
func TestWebSocket(t *testing.T) {
	preferringH2 := mode{"intercepted, upstream prefers h2", "api.test", secureOf, "h1", "HTTP/1.1", "intercept"}
	for _, m := range append(h1Modes, preferringH2) {
		t.Run(m.name, func(t *testing.T) {
			s := newSite(t, options{})
			car := s.start()
			client := car.client(m)
			conn, resp, err := websocket.Dial(t.Context(), m.url(s, "/ws?token=secret"), &websocket.DialOptions{
				HTTPClient: client, HTTPHeader: map[string][]string{"X-Test-Id": {testID}},
			})
			must(t, err)
			defer func() { _ = conn.CloseNow() }()
			for range 100 {
				must(t, conn.Write(t.Context(), websocket.MessageText, []byte(message)))
				_, echo, err := conn.Read(t.Context())
				must(t, err)
				if string(echo) != message {
					t.Fatalf("the upstream echoed %q", echo)
				}
			}
			must(t, conn.Close(websocket.StatusNormalClosure, ""))
			if seen := m.upstream(s).Requests(); len(seen) != 1 || seen[0].Proto != "HTTP/1.1" {
				t.Errorf("the upstream saw %+v", seen)
			}
			r := car.only()
			expectWebSocket(t, m, r, 100*int64(len(message)))
			if id := resp.Header.Get("X-Signet-Receipt"); m.tls != "tunnel" && id != r.ReceiptID {
				t.Errorf("the handshake named the receipt %q, not %s", id, r.ReceiptID)
			}
		})
	}
}

func expectWebSocket(t *testing.T, m mode, r *receipts.Receipt, carried int64) {
	t.Helper()
	d := r.Detail
	if r.Outcome != receipts.Forwarded || d.TLS.Mode != m.tls || d.Request.Host != m.host {
		t.Errorf("%s %+v, tls %+v, request %+v", r.Outcome, r.Policy, d.TLS, d.Request)
	}
	if *d.Forwarded.BytesUp <= carried || *d.Forwarded.BytesDown <= carried {
		t.Errorf("counted %d up and %d down; each way carried %d and its framing", *d.Forwarded.BytesUp, *d.Forwarded.BytesDown, carried)
	}
	if m.tls == "tunnel" {
		return
	}
	if want := map[string]string{"none": "ws", "intercept": "wss"}[m.tls]; d.Request.Scheme != want || *d.Forwarded.StatusCode != 101 {
		t.Errorf("scheme %s, status %d; want %s, 101", d.Request.Scheme, *d.Forwarded.StatusCode, want)
	}
}
