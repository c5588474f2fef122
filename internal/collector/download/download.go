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

// Serve answers with a file, for as long as its reader takes what comes. Where it
// fails before the first byte, nothing was answered yet.
func Serve(ctx context.Context, w http.ResponseWriter, f File) error {
	return f.Write(ctx, &patient{w: w, control: http.NewResponseController(w), name: f.Name()})
}

// Begun tells whether a part of a file was answered.
func Begun(w http.ResponseWriter) bool { return w.Header().Get("Content-Type") == mediaType }

const mediaType = "application/zip"

// stall is how long the reader of a file may leave what was sent in the buffers of
// the way. One that does so for longer has gone, or wants to hold what the file
// holds.
const stall = time.Minute

// patient gives the reader of an answer a time for each piece, rather than for the
// whole.
type patient struct {
	w       http.ResponseWriter
	control *http.ResponseController
	name    string // of the file
}

// Write implements io.Writer.
func (p *patient) Write(b []byte) (int, error) {
	if !Begun(p.w) {
		p.w.Header().Set("Content-Type", mediaType)
		p.w.Header().Set("Content-Disposition", `attachment; filename="`+p.name+`"`)
	}
	if err := p.control.SetWriteDeadline(time.Now().Add(stall)); err != nil {
		return 0, fmt.Errorf("set a deadline for the reader: %w", err)
	}
	return p.w.Write(b)
}
