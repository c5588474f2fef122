package proxy

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"

	"github.com/signet-egress/signet/internal/policy"
)

// ServeHTTP takes one exchange through the pipeline: accept, target, decide,
// pin, intent, payload, connect and carry, receipt. Every way out is settle.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.live.enter()
	defer p.live.leave()
	x := p.accept(w, r)
	x.settle(x.guarded(r.Context()))
}

// guarded turns a panic into a failed exchange: it ends one connection, is
// counted, and leaves a receipt like any other end.
func (x *exchange) guarded(ctx context.Context) (err error) {
	defer func() {
		if v := recover(); v != nil {
			x.p.Observer.Panicked()
			x.p.Logger.Error("panic", "receipt_id", x.receipt.ReceiptID, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			err = fail(policy.Internal, "Signet failed while carrying this request", fmt.Errorf("panic: %v", v))
		}
	}()
	return x.carry(ctx)
}

func (x *exchange) carry(ctx context.Context) error {
	if err := x.parse(); err != nil {
		return err
	}
	if err := x.decide(); err != nil {
		return err
	}
	if err := x.pinHost(ctx); err != nil {
		return err
	}
	if err := x.intend(); err != nil {
		return err
	}
	if err := x.inspect(ctx); err != nil {
		return err
	}
	switch {
	case x.r.Method != http.MethodConnect:
		return x.forward(ctx)
	case x.decision.Intercept:
		return x.intercept(ctx)
	default:
		return x.tunnelThrough(ctx)
	}
}
