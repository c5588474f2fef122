package proxy

import (
	"context"
	"log/slog"
	"net/http"
	"strings"

	"github.com/signet-egress/signet/internal/policy"
	"github.com/signet-egress/signet/receipts"
)

// logDecision writes the one decision line of an exchange.
func (p *Proxy) logDecision(rec *receipts.Receipt) {
	ctx := context.Background()
	if !p.Logger.Enabled(ctx, slog.LevelInfo) {
		return
	}
	const most = 12
	attrs := append(make([]slog.Attr, 0, most),
		slog.String("receipt_id", rec.ReceiptID),
		slog.String("trace_id", rec.TraceID),
		slog.String("agent", rec.Agent),
		slog.Bool("allowed", rec.Policy.Allowed),
		slog.String("reason", rec.Policy.Reason),
		slog.String("rule", rec.Policy.Rule),
		slog.String("mode", rec.Policy.Mode),
	)
	if req := rec.Detail.Request; req != nil {
		attrs = append(attrs,
			slog.String("method", req.Method),
			slog.String("scheme", req.Scheme),
			slog.String("host", req.Host),
			slog.Int64("port", req.Port),
			slog.String("path", req.Path),
		)
	}
	p.Logger.LogAttrs(ctx, slog.LevelInfo, "decision", attrs...)
}

// report counts a settled exchange once, and writes its one close line.
func (x *exchange) report(d *denial) {
	if x.dissolved {
		return
	}
	rec := x.receipt
	if !x.logged {
		x.p.logDecision(rec)
	}
	total := x.p.Now().Sub(x.started)
	s := &Settled{
		Receipt: rec, Reason: policy.Reason(rec.Policy.Reason), Pattern: x.decision.Pattern, Method: methodLabel(x.r.Method),
		Kind: x.kind(), Total: total,
	}
	if x.gathered {
		s.Receipt = nil
	}
	if !x.carriedAt.IsZero() {
		s.Carried = x.p.Now().Sub(x.carriedAt)
	}
	const most = 9
	attrs := append(make([]slog.Attr, 0, most),
		slog.String("receipt_id", rec.ReceiptID),
		slog.String("outcome", string(rec.Outcome)),
		slog.String("reason", rec.Policy.Reason),
		slog.Int64("duration_us", total.Microseconds()),
	)
	if fwd := rec.Detail.Forwarded; fwd != nil {
		attrs = append(attrs, slog.String("pinned_ip", fwd.PinnedIP))
		if fwd.BytesUp != nil {
			s.BytesUp, s.BytesDown = *fwd.BytesUp, *fwd.BytesDown
		}
		if fwd.StatusCode != nil {
			s.Status = int(*fwd.StatusCode)
			attrs = append(attrs, slog.Int64("status", *fwd.StatusCode))
		}
	}
	up, down := transferred(x)
	attrs = append(attrs, slog.Int64("bytes_up", up), slog.Int64("bytes_down", down))
	level := slog.LevelInfo
	if d != nil && d.err != nil {
		attrs = append(attrs, slog.String("error", d.err.Error()))
	}
	if d != nil && d.reason == policy.JournalUnavailable {
		s.Receipt, s.Reason, level = nil, d.reason, slog.LevelError
		attrs[2] = slog.String("reason", string(d.reason))
	}
	x.p.Observer.Settled(s)
	x.p.Logger.LogAttrs(x.r.Context(), level, "close", attrs...)
}

func transferred(x *exchange) (up, down int64) {
	d := x.receipt.Detail
	if d.Request != nil && d.Request.Size != nil {
		up = *d.Request.Size
	}
	fwd := d.Forwarded
	if fwd == nil {
		return up, 0
	}
	if fwd.BytesUp != nil {
		up += *fwd.BytesUp
	}
	if fwd.BytesDown != nil {
		down += *fwd.BytesDown
	}
	if fwd.ResponseSize != nil {
		down += *fwd.ResponseSize
	}
	return up, down
}

func (x *exchange) kind() string {
	switch {
	case x.r.Method == http.MethodConnect:
		return "connect"
	case x.tunnel != nil:
		return "inner"
	}
	return "http"
}

func protocolOf(r *http.Request) string {
	if r.ProtoMajor == 2 {
		return "h2"
	}
	return "h1"
}

// maxMethod bounds what a receipt tells of a method that is not registered.
const maxMethod = 32

func methodOf(r *http.Request) string { return r.Method[:min(len(r.Method), maxMethod)] }

// methodLabel is the method where it is one of RFC 9110's or PATCH, else OTHER.
func methodLabel(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete,
		http.MethodConnect, http.MethodOptions, http.MethodPatch:
		return m
	}
	return "OTHER"
}

func paramCount(query string) int {
	if query == "" {
		return 0
	}
	return 1 + strings.Count(query, "&")
}

// saysOurs reports whether a Via field names this sidecar.
func (p *Proxy) saysOurs(via string) bool {
	for hop := range strings.SplitSeq(via, ",") {
		if f := strings.Fields(hop); len(f) >= 2 && f[1] == p.Via {
			return true
		}
	}
	return false
}
