// Package download answers with files that are made as they are sent.
package download

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// File is a zip file in the making.
type File interface {
	Name() string
	Write(ctx context.Context, w io.Writer) error
}

// Serve answers with a file, for as long as its reader takes what comes.
func Serve(ctx context.Context, w http.ResponseWriter, f File) error {
	h := w.Header()
	h.Set("Content-Type", "application/zip")
	h.Set("Content-Disposition", `attachment; filename="`+f.Name()+`"`)
	return f.Write(ctx, &patient{w, http.NewResponseController(w)})
}

// stall is how long the reader of a file may leave what was sent in the buffers of
// the way. One that does so for longer has gone, or wants to hold what the file
// holds.
const stall = time.Minute

// patient gives the reader of an answer a time for each piece, rather than for the
// whole.
type patient struct {
	w       io.Writer
	control *http.ResponseController
}

// Write implements io.Writer.
func (p *patient) Write(b []byte) (int, error) {
	if err := p.control.SetWriteDeadline(time.Now().Add(stall)); err != nil {
		return 0, fmt.Errorf("set a deadline for the reader: %w", err)
	}
	return p.w.Write(b)
}
