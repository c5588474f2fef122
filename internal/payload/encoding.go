package payload

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// Bounds of what compression may make of a body: what a megabyte of zeros takes
// is a kilobyte, and no JSON document is that regular.
const (
	mostInflated = 10 << 20 // bytes
	mostRatio    = 100
	leastBounded = 64 << 10 // below this many bytes the ratio says nothing
)

// Encodings are the content codings that can be inspected (RFC 9110, section
// 8.4.1; RFC 8878 for zstd), in the order of preference.
var Encodings = []string{"zstd", "br", "gzip", "deflate"}

// encodingError is of a body that cannot be read for its compression.
type encodingError struct{ problem string }

func (e *encodingError) Error() string { return e.problem }

// codings are the codings of a Content-Encoding field, in lower case and without
// identity, which changes nothing.
func codings(field string) []string {
	var list []string
	for c := range strings.SplitSeq(field, ",") {
		c = strings.ToLower(strings.TrimSpace(c))
		if c != "" && c != "identity" {
			list = append(list, strings.TrimPrefix(c, "x-"))
		}
	}
	return list
}

// decode undoes one content coding, within limit bytes, which room is asked for
// before they are there. Errors are errNoBudget, or of type *encodingError.
func decode(field string, data []byte, limit int, room *held) ([]byte, error) {
	list := codings(field)
	switch {
	case len(list) == 0:
		return data, nil
	case len(list) > 1:
		return nil, &encodingError{"the body is compressed more than once"}
	case !slices.Contains(Encodings, list[0]):
		return nil, &encodingError{"the body's Content-Encoding is none of zstd, br, gzip and deflate"}
	}
	src := bytes.NewReader(data)
	r, err := decoder(list[0], src)
	if err == nil {
		data, err = inflate(r, src, min(limit, mostInflated), room)
	}
	switch {
	case errors.Is(err, errNoBudget):
		return nil, err
	case errors.Is(err, errInflates):
		return nil, &encodingError{fmt.Sprintf("the body decompresses to more than is inspected, or to more than %d times its size", mostRatio)}
	case err != nil:
		return nil, &encodingError{fmt.Sprintf("the body is not compressed by %s, as its Content-Encoding says", list[0])}
	}
	return data, nil
}

var errInflates = errors.New("too much comes of it")

// inflate reads r, which reads src, to its end. What grows too much is given up
// as soon as it does.
func inflate(r io.Reader, src *bytes.Reader, limit int, room *held) ([]byte, error) {
	const step = 32 << 10
	var out bytes.Buffer
	for {
		if !room.grow(step) {
			return nil, errNoBudget
		}
		_, err := io.CopyN(&out, r, step)
		consumed := int(src.Size()) - src.Len()
		switch {
		case out.Len() > limit || out.Len() > max(leastBounded, consumed*mostRatio):
			return nil, errInflates
		case errors.Is(err, io.EOF):
			return out.Bytes(), nil
		case err != nil:
			return nil, err
		}
	}
}

// decoder reads one coding to its end.
func decoder(coding string, src *bytes.Reader) (io.Reader, error) {
	switch coding {
	case "gzip":
		return gzip.NewReader(src)
	case "deflate": // zlib (RFC 9110, section 8.4.1.2), and as many send it, without the wrapper
		if r, err := zlib.NewReader(src); err == nil {
			return r, nil
		}
		_, _ = src.Seek(0, io.SeekStart) // which cannot fail
		return flate.NewReader(src), nil
	case "br":
		return brotli.NewReader(src), nil
	}
	return zstd.NewReader(src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(mostInflated+1<<20), zstd.WithDecoderMaxWindow(8<<20))
}
