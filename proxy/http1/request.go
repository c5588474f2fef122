package http1

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
)

// expectation is how long 100 (Continue) is waited for before the content is sent
// all the same (RFC 9110, section 10.1.1).
const expectation = time.Second

// check refuses a request that could be read as another one where it goes.
func check(req *http.Request) error {
	if !httpguts.ValidHeaderFieldName(req.Method) { // a token too
		return errors.New("the method is not a token")
	}
	if host := hostOf(req); host == "" || !httpguts.ValidHostHeader(host) {
		return errors.New("the host is not one")
	}
	if strings.ContainsFunc(req.URL.RequestURI(), func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return errors.New("the request target has a blank or a control character in it")
	}
	for name, values := range req.Header {
		if !httpguts.ValidHeaderFieldName(name) {
			return fmt.Errorf("a field's name is not a token: %q", name)
		}
		for _, v := range values {
			if !httpguts.ValidHeaderFieldValue(v) {
				return fmt.Errorf("the field %s has a control character in it", name)
			}
		}
	}
	return nil
}

func hostOf(req *http.Request) string { return cmp.Or(req.Host, req.URL.Host) }

// lengthOf is the length of a request's content, negative where it is not known
// (http.Request.ContentLength).
func lengthOf(req *http.Request) int64 {
	switch {
	case req.Body == nil || req.Body == http.NoBody:
		return 0
	case req.ContentLength == 0:
		return -1
	}
	return req.ContentLength
}

// send sends the request, or begins to where it has content. What goes wrong is
// for because to say, unless there is an answer all the same.
func (x *exchange) send() {
	if lengthOf(x.req) == 0 {
		if err := x.sendHead(); err != nil {
			x.unsent(err)
			return
		}
		x.bound()
		return
	}
	x.halves.Add(1)
	if httpguts.HeaderValuesContainsToken(x.req.Header["Expect"], "100-continue") {
		x.proceed = make(chan bool, 1)
	}
	go x.sendWithContent()
}

// Fields that say what RoundTrip decides.
var framingFields = map[string]bool{"Host": true, "Content-Length": true, "Transfer-Encoding": true, "Trailer": true}

// framingAndAgent are those where a request names no user agent.
var framingAndAgent = map[string]bool{"Host": true, "Content-Length": true, "Transfer-Encoding": true, "Trailer": true, "User-Agent": true}

func (x *exchange) sendHead() error {
	w, req := x.conn.writer, x.req
	for _, s := range [...]string{req.Method, " ", req.URL.RequestURI(), " HTTP/1.1\r\nHost: ", hostOf(req), "\r\n", x.delimiter()} {
		_, _ = w.WriteString(s) // an error stays, for Flush to return
	}
	without := framingFields
	if req.Header.Get("User-Agent") == "" {
		without = framingAndAgent
	}
	if err := req.Header.WriteSubset(w, without); err != nil {
		return err
	}
	_, _ = w.WriteString("\r\n")
	return w.Flush()
}

// delimiter is the field that says where the request ends.
func (x *exchange) delimiter() string {
	switch length := lengthOf(x.req); {
	case length < 0:
		return "Transfer-Encoding: chunked\r\n"
	case length > 0 || expectsContent(x.req.Method):
		return "Content-Length: " + strconv.FormatInt(length, 10) + "\r\n"
	}
	return ""
}

// expectsContent reports whether a request of a method says that it has none (RFC
// 9110, section 8.6).
func expectsContent(method string) bool {
	return method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch
}

// sendWithContent is the request's half of an exchange that has content.
func (x *exchange) sendWithContent() {
	defer func() { _ = x.req.Body.Close() }()
	if err := x.sendHead(); err != nil { // which does not wait for content that may be long in coming
		x.unsent(err)
		x.end()
		return
	}
	if !x.wanted() {
		x.broken.Store(true) // the upstream cannot tell what comes next
		x.end()
		return
	}
	switch read, err := x.copyContent(); {
	case read != nil:
		x.unsent(read)
		x.fail()
	case err != nil:
		x.unsent(err)
		x.end()
	default:
		x.bound()
		x.end()
	}
}

// wanted waits for what the upstream says to an expectation, if there is one.
func (x *exchange) wanted() bool {
	if x.proceed == nil {
		return true
	}
	timer := time.NewTimer(expectation)
	defer timer.Stop()
	select {
	case wanted := <-x.proceed:
		return wanted
	case <-timer.C:
		return true
	case <-x.req.Context().Done():
		return false
	}
}

// copyContent sends each part of the content as it comes. It tells errors of the
// content from those of the connection.
func (x *exchange) copyContent() (read, write error) {
	var to io.Writer = x.conn.writer
	length := lengthOf(x.req)
	chunked := length < 0
	if chunked {
		to = httputil.NewChunkedWriter(x.conn.writer)
	}
	var n int64
	buf := make([]byte, partSize(length))
	for {
		m, err := x.req.Body.Read(buf)
		n += int64(m)
		if !chunked && n > length {
			return errLength, nil
		}
		if m > 0 {
			if _, err := to.Write(buf[:m]); err != nil {
				return nil, err
			}
			if err := x.conn.writer.Flush(); err != nil {
				return nil, err
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err, nil
		}
	}
	if !chunked {
		if n < length {
			return errLength, nil
		}
		return nil, nil
	}
	_, _ = x.conn.writer.WriteString("0\r\n\r\n")
	return nil, x.conn.writer.Flush()
}

// partSize is how much of content of a length is read at once: all, and one byte
// that would be too much, where that is little.
func partSize(length int64) int64 {
	const most = 32 << 10
	if length < 0 {
		return most
	}
	return min(length+1, most)
}

var errLength = errors.New("the content is not as long as it was declared")
