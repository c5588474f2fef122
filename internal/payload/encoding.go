package payload

import (
	"bytes"
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

// decode undoes one content coding, within limit bytes. Errors are of type
// *encodingError.
func decode(field string, data []byte, limit int) ([]byte, error) {
	list := codings(field)
	switch {
	case len(list) == 0:
		return data, nil
	case len(list) > 1:
		return nil, &encodingError{"the body is compressed more than once"}
	case !slices.Contains(Encodings, list[0]):
		return nil, &encodingError{"the body's Content-Encoding is none of zstd, br, gzip and deflate"}
	}
	r, err := decoder(list[0], data)
	if err != nil {
		return nil, &encodingError{fmt.Sprintf("the body is not compressed by %s, as its Content-Encoding says", list[0])}
	}
	return inflate(r, list[0], len(data), min(limit, mostInflated))
}

func inflate(r io.Reader, coding string, compressed, limit int) ([]byte, error) {
	limit = min(limit, max(compressed*mostRatio, leastBounded))
	var out bytes.Buffer
	n, err := io.Copy(&out, io.LimitReader(r, int64(limit)+1))
	switch {
	case int(n) > limit:
		return nil, &encodingError{fmt.Sprintf("the body decompresses to more than %d bytes, which is more than is inspected or 100 times its size", limit)}
	case err != nil:
		return nil, &encodingError{fmt.Sprintf("the body is not compressed by %s, as its Content-Encoding says", coding)}
	}
	return out.Bytes(), nil
}

// decoder reads one coding to its end.
func decoder(coding string, data []byte) (io.Reader, error) {
	src := bytes.NewReader(data)
	switch coding {
	case "gzip":
		return gzip.NewReader(src)
	case "deflate": // zlib (RFC 9110, section 8.4.1.2), and as many send it, without the wrapper
		if r, err := zlib.NewReader(src); err == nil {
			return r, nil
		}
		src.Reset(data)
		return flate.NewReader(src), nil
	case "br":
		return brotli.NewReader(src), nil
	}
	return zstd.NewReader(src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(mostInflated+1<<20), zstd.WithDecoderMaxWindow(8<<20))
}
