package receipts

import (
	"bufio"
	"bytes"
	"io"
)

// EachLine calls fn with each line of a stream of records, without its newline
// but otherwise as it is. A line longer than MaxLine comes in pieces that are
// too long as well, so that no decoder takes them for records. line is valid
// until fn returns.
func EachLine(r io.Reader, fn func(line []byte) error) error {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 64<<10), MaxLine+2)
	s.Split(func(data []byte, atEOF bool) (advance int, token []byte, err error) {
		if i := bytes.IndexByte(data, '\n'); i >= 0 {
			return i + 1, data[:i], nil
		}
		if len(data) > MaxLine || atEOF && len(data) > 0 {
			return len(data), data, nil
		}
		return 0, nil, nil
	})
	for s.Scan() {
		if err := fn(s.Bytes()); err != nil {
			return err
		}
	}
	return s.Err()
}
