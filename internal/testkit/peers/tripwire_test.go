package peers

import (
	"net"
	"testing"
)

func TestTripwireCountsWhatTheKernelAccepted(t *testing.T) {
	w, err := StartTripwire("")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for want := range 4 {
		got, err := w.Count(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Fatalf("counted %d; want %d", got, want)
		}
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", w.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
	}
}
