package witness

import "time"

// Hurry gives the witness another time limit.
func Hurry(c *Client, limit time.Duration) { c.http.Timeout = limit }

// Every gives f an interval.
func Every(f *Feeder, interval time.Duration) *Feeder {
	f.interval = interval
	return f
}

// At has f take a time for now.
func At(f *Feeder, now time.Time) { f.now = func() time.Time { return now } }

// Answer is what an answer of the client's witness means.
func Answer(c *Client, status int, contentType string, checkpoint, body []byte) (line string, err error) {
	found, err := c.read(status, contentType, checkpoint, body)
	return found.Line, err
}
