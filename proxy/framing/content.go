package framing

// delimiter is what a head says of where its message ends (RFC 9112, section 6).
type delimiter struct {
	old       bool // HTTP/1.0
	hasLength bool
	length    uint64
	chunked   bool
}

// readField takes a field that is about that, if it is one.
func (d *delimiter) readField(name, value []byte) *Error {
	switch {
	case equalFold(name, "content-length"):
		return d.setLength(value)
	case equalFold(name, "transfer-encoding"):
		return d.setCoding(value)
	}
	return nil
}

func (d *delimiter) setLength(value []byte) *Error {
	if d.hasLength {
		return malformed("there is more than one Content-Length")
	}
	if len(value) == 0 || len(value) > maxLengthDigits {
		return malformed("Content-Length is not a decimal number below 2^63")
	}
	for _, c := range value {
		if c < '0' || c > '9' {
			return malformed("Content-Length is not a decimal number below 2^63")
		}
		d.length = 10*d.length + uint64(c-'0') // 19 digits fit
	}
	if d.length > highestChunkSize {
		return malformed("Content-Length is not a decimal number below 2^63")
	}
	d.hasLength = true
	return nil
}

func (d *delimiter) setCoding(value []byte) *Error {
	switch {
	case d.chunked:
		return malformed("there is more than one Transfer-Encoding")
	case string(value) != "chunked":
		return malformed("Transfer-Encoding is not exactly chunked")
	case d.old:
		return malformed("HTTP/1.0 has no Transfer-Encoding")
	}
	d.chunked = true
	return nil
}

// check holds the two fields against each other, once all are read.
func (d *delimiter) check() *Error {
	if d.chunked && d.hasLength {
		return malformed("there are both Content-Length and Transfer-Encoding")
	}
	return nil
}

// content follows a message behind its head. At the end of one it is at the head
// of the next.
type content struct {
	state      state
	lines      lines
	left       uint64 // bytes of content or of chunk data that are still to come
	extensions int    // bytes of chunk extensions in this message so far
}

// begin goes on from a head that was let through.
func (c *content) begin(d delimiter) {
	*c = content{}
	switch {
	case d.chunked:
		c.state = atChunk
	case d.length > 0:
		c.state, c.left = inContent, d.length
	}
}

// part returns the length of the part of the content that b begins with, 0 while
// it is not whole.
func (c *content) part(b []byte) (int, *Error) {
	switch c.state {
	case inContent:
		n := c.skip(b)
		if c.left == 0 {
			c.state = atHead
		}
		return n, nil
	case atChunk:
		return c.readChunkLine(b)
	case inChunk:
		n := c.skip(b)
		if c.left == 0 {
			c.state = pastChunk
		}
		return n, nil
	case pastChunk:
		return c.readChunkEnd(b)
	case atTrailer:
		return c.readTrailers(b)
	case untilClose, opaque:
		return len(b), nil
	}
	return 0, nil // atHead, which is its owner's; upgrading, refused
}

func (c *content) skip(b []byte) int {
	n := min(uint64(len(b)), c.left)
	c.left -= n
	return int(n)
}
