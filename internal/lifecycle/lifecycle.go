// Package lifecycle ends long-running commands by the signals that service
// managers send.
package lifecycle

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// UntilSignal returns a context that the first SIGTERM or SIGINT ends. The
// second one ends the process, as if nobody had asked for the first.
func UntilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	done := make(chan struct{})
	go func() {
		select {
		case got := <-signals:
			signal.Stop(signals) // the next one has its default effect: the end
			cancel(fmt.Errorf("received %s", got))
		case <-done:
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel(nil)
	}
}
