package httpapi

import (
	"fmt"
	"net/http"
	"time"
)

// stall is how long the reader of an export may leave what was sent in the
// buffers of the way. One that does so for longer has gone, or wants to hold what
// the export holds.
const stall = time.Minute

// patient gives the reader of an answer a time for each piece, rather than for the
// whole.
type patient struct {
	http.ResponseWriter
	control *http.ResponseController
}

func newPatient(w http.ResponseWriter) *patient {
	return &patient{ResponseWriter: w, control: http.NewResponseController(w)}
}

// Write implements http.ResponseWriter.
func (p *patient) Write(b []byte) (int, error) {
	if err := p.control.SetWriteDeadline(time.Now().Add(stall)); err != nil {
		return 0, fmt.Errorf("set a deadline for the reader: %w", err)
	}
	return p.ResponseWriter.Write(b)
}
