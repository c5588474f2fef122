package checkpoint

import (
	"bytes"
	"fmt"
)

// MaxFile bounds a file of checkpoints, in bytes; a note has about 290.
const MaxFile = 16 << 20

// AppendFile appends a note as a file has it: an empty line follows it.
func AppendFile(dst []byte, n Note) []byte {
	dst = append(dst, n.Text...)
	return append(dst, '\n')
}

// ParseFile reads a file of checkpoints. whole is how many bytes of it hold whole
// notes; what follows is what a crash has left of the one after.
func ParseFile(data []byte) (notes []Note, whole int, err error) {
	if len(data) > MaxFile {
		return nil, 0, fmt.Errorf("%d bytes; a file of checkpoints has at most %d", len(data), MaxFile)
	}
	for {
		n := noteLen(data[whole:])
		if n < 0 {
			return notes, whole, nil
		}
		parsed, err := Parse(data[whole : whole+n])
		if err != nil {
			return nil, 0, fmt.Errorf("checkpoint %d: %w", len(notes)+1, err)
		}
		notes = append(notes, parsed)
		whole += n + 1
	}
}

// ParseList reads notes as people keep them: one after the other, with or without
// an empty line after the last.
func ParseList(data []byte) ([]Note, error) {
	data = append(bytes.TrimRight(data, "\n"), "\n\n"...)
	notes, whole, err := ParseFile(data)
	if err == nil && (whole < len(data) || len(notes) == 0) {
		err = fmt.Errorf("checkpoint %d: not whole", len(notes)+1)
	}
	return notes, err
}

// noteLen is the length of the note that data begins with: text, an empty line,
// signatures; -1 where the empty line after it is not there yet.
func noteLen(data []byte) int {
	end := []byte("\n\n")
	text := bytes.Index(data, end)
	if text < 0 {
		return -1
	}
	signatures := bytes.Index(data[text+len(end):], end)
	if signatures < 0 {
		return -1
	}
	return text + len(end) + signatures + 1
}
