package proxy

import (
	"bytes"
	"io"
	"net/http"
	"strings"

	"github.com/signet-egress/signet/internal/policy"
)

// switchProtocols passes an upgraded connection through (RFC 9110, section 7.8).
// The close is the held end.
func (x *exchange) switchProtocols(resp *http.Response) error {
	upstream, ok := resp.Body.(io.ReadWriteCloser)
	if !ok || !wantsWebSocket(x.r) || !strings.EqualFold(resp.Header.Get("Upgrade"), "websocket") {
		return fail(policy.UpstreamFailed, "the upstream switched to a protocol that was not asked for", nil)
	}
	if len(resp.Header[extensionsField]) > 0 { // RFC 6455, section 4.1: the handshake has failed
		return fail(policy.UpstreamFailed, "the upstream chose a WebSocket extension that was not asked for", nil)
	}
	agent, err := x.hijack(switchingHead(resp, x.receipt.ReceiptID))
	if err != nil {
		return err
	}
	defer x.p.live.hold(cutter{agent})()
	defer x.p.live.hold(upstream)()
	return x.splice("websocket", agent, upstream, endWithUpstream)
}

// switchingHead is the 101 answer as it goes to the agent.
func switchingHead(resp *http.Response, receiptID string) string {
	h := resp.Header.Clone()
	cleanAnswer(h)
	h.Set("Connection", "Upgrade")
	h.Set("Upgrade", "websocket")
	h.Set(receiptField, receiptID)
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	_ = h.Write(&b)
	b.WriteString("\r\n")
	return b.String()
}
