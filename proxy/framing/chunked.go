package framing

// readChunkLine takes a chunk's size and extensions (RFC 9112, section 7.1).
func (c *content) readChunkLine(b []byte) (int, *Error) {
	line, whole, err := c.lines.next(b)
	if err != nil {
		return 0, err
	}
	if !whole {
		if len(b) > maxChunkLine {
			return 0, malformed("a chunk's size and extensions take more than 4096 bytes")
		}
		return 0, nil
	}
	n := c.lines.start
	if n > maxChunkLine {
		return 0, malformed("a chunk's size and extensions take more than 4096 bytes")
	}
	size, rest, err := readChunkSize(line)
	if err != nil {
		return 0, err
	}
	if err := c.checkExtensions(rest); err != nil {
		return 0, err
	}
	c.lines = lines{}
	c.state, c.left = inChunk, size
	if size == 0 {
		c.state = atTrailer
	}
	return n, nil
}

func readChunkSize(line []byte) (size uint64, rest []byte, err *Error) {
	digits := 0
	for digits < len(line) && classes[line[digits]]&hexadec != 0 {
		digit := line[digits]
		if digit > '9' {
			digit = digit&0x0f + 9
		}
		size = size<<4 | uint64(digit&0x0f)
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
func (c *content) checkExtensions(rest []byte) *Error {
	if len(rest) == 0 {
		return nil
	}
	if rest[0] != ';' {
		return malformed("a chunk's size is followed by something else than an extension")
	}
	if !allOf(text, rest) {
		return malformed("a chunk's extension has a control character in it")
	}
	if c.extensions += len(rest); c.extensions > maxExtensions {
		return malformed("the chunk extensions are larger than 4096 bytes")
	}
	return nil
}

// readChunkEnd takes the line end behind a chunk's data.
func (c *content) readChunkEnd(b []byte) (int, *Error) {
	if b[0] != '\r' || len(b) > 1 && b[1] != '\n' {
		return 0, malformed("a chunk does not end in CRLF where its size says")
	}
	if len(b) == 1 {
		return 0, nil
	}
	c.state = atChunk
	return len("\r\n"), nil
}

// readTrailers takes the trailer section to its empty line.
func (c *content) readTrailers(b []byte) (int, *Error) {
	for {
		line, whole, err := c.lines.next(b)
		if err != nil {
			return 0, err
		}
		end := len(b)
		if whole {
			end = c.lines.start
		}
		switch {
		case end > maxTrailers:
			return 0, malformed("the trailer fields are larger than 4096 bytes")
		case !whole:
			return 0, nil
		case len(line) == 0:
			*c = content{}
			return end, nil
		}
		if _, _, err := cutField(line); err != nil {
			return 0, err
		}
	}
}
