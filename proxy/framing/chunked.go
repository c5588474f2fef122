package framing

// readChunkLine takes a chunk's size and extensions (RFC 9112, section 7.1).
func (q *Requests) readChunkLine(b []byte) (int, *Error) {
	line, whole, err := q.lines.next(b)
	if err != nil {
		return 0, err
	}
	if !whole {
		if len(b) > maxChunkLine {
			return 0, malformed("a chunk's size and extensions take more than 4096 bytes")
		}
		return 0, nil
	}
	n := q.lines.start
	if n > maxChunkLine {
		return 0, malformed("a chunk's size and extensions take more than 4096 bytes")
	}
	size, rest, err := readChunkSize(line)
	if err != nil {
		return 0, err
	}
	if err := q.checkExtensions(rest); err != nil {
		return 0, err
	}
	q.lines = lines{}
	q.state, q.left = inChunk, size
	if size == 0 {
		q.state = atTrailer
	}
	return n, nil
}

func readChunkSize(line []byte) (size uint64, rest []byte, err *Error) {
	digits := 0
	for digits < len(line) && classes[line[digits]]&hexadec != 0 {
		c := line[digits]
		if c > '9' {
			c = c&0x0f + 9
		}
		size = size<<4 | uint64(c&0x0f)
		if digits++; digits > maxChunkDigits {
			break
		}
	}
	if digits == 0 || digits > maxChunkDigits || size > highestChunkSize {
		return 0, nil, malformed("a chunk's size is not 1 to 16 hexadecimal digits below 2^63")
	}
	return size, line[digits:], nil
}

// checkExtensions takes what stands behind a chunk's size. Nobody reads it, so
// what it says does not matter, but how much there is of it.
func (q *Requests) checkExtensions(rest []byte) *Error {
	if len(rest) == 0 {
		return nil
	}
	if rest[0] != ';' {
		return malformed("a chunk's size is followed by something else than an extension")
	}
	if !allOf(text, rest) {
		return malformed("a chunk's extension has a control character in it")
	}
	if q.extensions += len(rest); q.extensions > maxExtensions {
		return malformed("the chunk extensions are larger than 4096 bytes")
	}
	return nil
}

// readChunkEnd takes the line end behind a chunk's data.
func (q *Requests) readChunkEnd(b []byte) (int, *Error) {
	if b[0] != '\r' || len(b) > 1 && b[1] != '\n' {
		return 0, malformed("a chunk does not end in CRLF where its size says")
	}
	if len(b) == 1 {
		return 0, nil
	}
	q.state = atChunk
	return len("\r\n"), nil
}

// readTrailers takes the trailer section to its empty line.
func (q *Requests) readTrailers(b []byte) (int, *Error) {
	for {
		line, whole, err := q.lines.next(b)
		if err != nil {
			return 0, err
		}
		end := len(b)
		if whole {
			end = q.lines.start
		}
		switch {
		case end > maxTrailers:
			return 0, malformed("the trailer fields are larger than 4096 bytes")
		case !whole:
			return 0, nil
		case len(line) == 0:
			q.lines = lines{}
			q.endMessage()
			return end, nil
		}
		if _, _, err := cutField(line); err != nil {
			return 0, err
		}
	}
}
