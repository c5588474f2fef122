package receipts

import (
	"bufio"
	"errors"
	"io"
)

// EachLine calls fn with each line of a stream of records, without its newline
// but otherwise as it is. A line longer than MaxLine comes in pieces of which the
// first is too long as well, so that no decoder takes it for a record. A last
// line needs no newline, but for one that an error of r has cut. line is valid
// until fn returns.
func EachLine(r io.Reader, fn func(line []byte) error) error {
	b := bufio.NewReaderSize(r, MaxLine+1)
	for {
		line, err := b.ReadSlice('\n')
		switch {
		case err == nil:
			err = fn(line[:len(line)-1])
		case errors.Is(err, bufio.ErrBufferFull):
			err = fn(line)
		case errors.Is(err, io.EOF) && len(line) > 0:
			return fn(line)
		case errors.Is(err, io.EOF):
			return nil
		}
		if err != nil {
			return err
		}
	}
}
