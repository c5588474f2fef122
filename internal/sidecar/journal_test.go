package sidecar_test

import (
	"testing"

	"github.com/signet-egress/signet/internal/config"
	"github.com/signet-egress/signet/internal/sidecar"
)

// What a collector has not acknowledged is kept, but only where there is one: the
// journal would else never forget.
func TestJournalKeepsWhatIsToBeShipped(t *testing.T) {
	for address, want := range map[string]bool{"": false, "collector.example:8443": true} {
		c := &config.Config{Collector: config.Collector{Address: address}}
		if got := sidecar.JournalLimits(c).Shipped; got != want {
			t.Errorf("with the collector %q: %t, want %t", address, got, want)
		}
	}
}
