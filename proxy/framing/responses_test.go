package framing

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const ok = "HTTP/1.1 200 OK\r\n"

// passAnswer is pass for what answers one request of the method.
func passAnswer(r *Responses, method, input string, size int) (passed string, err *Error) {
	r.Expect(method)
	var held []byte
	for input != "" {
		n := min(size, len(input))
		held = append(held, input[:n]...)
		input = input[n:]
		n, err = r.Pass(held)
		passed += string(held[:n])
		held = held[n:]
		if err != nil {
			return passed, err
		}
	}
	return passed, nil
}

// What every parser reads alike goes on byte for byte, however it comes, and its
// end is known.
func TestAnswersPass(t *testing.T) {
	for name, c := range map[string]struct {
		method, input string
		whole         bool
	}{
		"a length":                {"GET", ok + "Content-Length: 5\r\n\r\nhello", true},
		"no content":              {"GET", ok + "content-length:0\r\n\r\n", true},
		"a part of it":            {"GET", ok + "Content-Length: 5\r\n\r\nhell", false},
		"chunks":                  {"GET", ok + "Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nA: b\r\n\r\n", true},
		"chunks without an end":   {"GET", ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", false},
		"until it closes":         {"GET", ok + "\r\nhello\r\n\r\nHTTP/1.1 200 OK\r\n\r\n\x00\n", false},
		"HEAD with a length":      {"HEAD", ok + "Content-Length: 5\r\n\r\n", true},
		"HEAD with chunks":        {"HEAD", ok + "Transfer-Encoding: chunked\r\n\r\n", true},
		"HEAD with neither":       {"HEAD", ok + "\r\n", true},
		"204":                     {"GET", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", true},
		"304 with a length":       {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", true},
		"after two early answers": {"GET", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + ok + "Content-Length: 0\r\n\r\n", true},
		"an early answer alone":   {"GET", "HTTP/1.1 100\r\n\r\n", false},
		"another protocol":        {"GET", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\n\n\x00", false},
		"HTTP/1.0":                {"GET", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", true},
		"without a phrase":        {"GET", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", true},
		"an empty phrase":         {"GET", "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", true},
		"a phrase beyond ASCII":   {"GET", "HTTP/1.1 404 \xe9\tb\r\nContent-Length: 0\r\n\r\n", true},
		"an odd status":           {"GET", "HTTP/1.1 999 x\r\nContent-Length: 0\r\n\r\n", true},
		"the largest head":        {"GET", ok + "Content-Length: 0\r\nA: " + strings.Repeat("a", MaxResponseHead-43) + "\r\n\r\n", true},
	} {
		t.Run(name, func(t *testing.T) {
			for _, size := range []int{1, 2, 7, 100, len(c.input)} {
				var r Responses
				passed, err := passAnswer(&r, c.method, c.input, size)
				if err != nil || passed != c.input || r.Whole() != c.whole {
					t.Fatalf("in pieces of %d: %d of %d bytes, whole %v, %v", size, len(passed), len(c.input), r.Whole(), err)
				}
			}
		})
	}
}

// Nothing goes on of a head that breaks a rule; of content, what comes before the
// break does.
func TestAnswersRefused(t *testing.T) {
	const chunked = ok + "Transfer-Encoding: chunked\r\n\r\n"
	for name, c := range map[string]struct{ method, passed, refused, detail string }{
		"nothing":                   {"GET", "", "\r\n", "status line"},
		"HTTP/0.9":                  {"GET", "", "hello", "status line"},
		"HTTP/2":                    {"GET", "", "HTTP/2 200 OK\r\n\r\n", "status line"},
		"another version":           {"GET", "", "HTTP/1.2 200 OK\r\n\r\n", "status line"},
		"ICY":                       {"GET", "", "HICY 200 OK\r\n\r\n", "status line"},
		"two blanks":                {"GET", "", "HTTP/1.1  200 OK\r\n\r\n", "three digits"},
		"a status of two digits":    {"GET", "", "HTTP/1.1 20 OK\r\n\r\n", "three digits"},
		"a status of four digits":   {"GET", "", "HTTP/1.1 2000 OK\r\n\r\n", "three digits"},
		"a status with a sign":      {"GET", "", "HTTP/1.1 +20 OK\r\n\r\n", "three digits"},
		"a status below 100":        {"GET", "", "HTTP/1.1 099 OK\r\n\r\n", "three digits"},
		"a phrase with NUL":         {"GET", "", "HTTP/1.1 200 O\x00K\r\n\r\n", "reason phrase"},
		"a bare line feed":          {"GET", "", "HTTP/1.1 200 OK\n\n", "bare LF"},
		"a bare line feed behind":   {"GET", "", ok + "A: b\nB: c\r\n\r\n", "bare LF"},
		"a bare carriage return":    {"GET", "", ok + "A: b\rContent-Length: 5\r\n\r\n", "bare CR"},
		"a folded line":             {"GET", "", ok + "A: b\r\n c\r\n\r\n", "folded"},
		"a blank before the colon":  {"GET", "", ok + "A : b\r\n\r\n", "colon"},
		"no colon":                  {"GET", "", ok + "A\r\n\r\n", "colon"},
		"a name beyond ASCII":       {"GET", "", ok + "\xe9: b\r\n\r\n", "not a token"},
		"length and coding":         {"GET", "", ok + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "both"},
		"two lengths":               {"GET", "", ok + "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", "more than one Content-Length"},
		"a list of lengths":         {"GET", "", ok + "Content-Length: 5, 5\r\n\r\n", "Content-Length"},
		"a length with a sign":      {"HEAD", "", ok + "Content-Length: +5\r\n\r\n", "Content-Length"},
		"two codings":               {"GET", "", ok + "Transfer-Encoding: gzip, chunked\r\n\r\n", "exactly chunked"},
		"another coding":            {"GET", "", ok + "Transfer-Encoding: identity\r\n\r\n", "exactly chunked"},
		"chunks in HTTP/1.0":        {"GET", "", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.0"},
		"a trailer that frames":     {"GET", "", ok + "Trailer: Content-Length\r\n\r\n", "Trailer"},
		"204 with content":          {"GET", "", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", "no content"},
		"100 with content":          {"GET", "", "HTTP/1.1 100 Continue\r\nTransfer-Encoding: chunked\r\n\r\n", "no content"},
		"a large head":              {"GET", "", ok + "A: " + strings.Repeat("a", MaxResponseHead), "larger than 65536"},
		"a chunk's size":            {"GET", chunked, "x\r\n", "hexadecimal"},
		"a chunk that is too long":  {"GET", chunked + "1\r\na", "b\r\n", "CRLF"},
		"a trailer that is none":    {"GET", chunked + "0\r\n", "A\r\n\r\n", "colon"},
		"content behind its end":    {"GET", ok + "Content-Length: 1\r\n\r\na", "b", "without a request"},
		"an answer behind its end":  {"GET", ok + "Content-Length: 0\r\n\r\n", ok, "without a request"},
		"content that HEAD has not": {"HEAD", ok + "Content-Length: 5\r\n\r\n", "hello", "without a request"},
		"content that 304 has not":  {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "hello", "without a request"},
	} {
		t.Run(name, func(t *testing.T) {
			input := c.passed + c.refused
			for _, size := range []int{1, 2, 7, 100, len(input)} {
				var r Responses
				passed, err := passAnswer(&r, c.method, input, size)
				if err == nil || passed != c.passed || !strings.Contains(err.Detail, c.detail) || err.Status != http.StatusBadGateway {
					t.Fatalf("in pieces of %d: passed %q, %+v", size, passed, err)
				}
			}
		})
	}
}

// Nobody has asked: nothing is an answer.
func TestAnswersToNobody(t *testing.T) {
	if n, err := new(Responses).Pass([]byte(ok)); n != 0 || err == nil {
		t.Errorf("%d bytes passed, %v", n, err)
	}
}

// FuzzResponses holds what is let through against net/http, which parses it: it
// must see the same answer with the same content.
func FuzzResponses(f *testing.F) {
	f.Fuzz(func(t *testing.T, input []byte, size uint16, head bool) {
		method := http.MethodGet
		if head {
			method = http.MethodHead
		}
		sameAnswer(t, method, string(input), 1+int(size))
	})
}

// The same, of input that is nearly right, so that much of it is let through.
func TestAnswersDifferential(t *testing.T) {
	lines := rapid.SampledFrom([]string{
		"HTTP/1.1 200 OK", "HTTP/1.1 200 OK", "HTTP/1.0 200 OK", "HTTP/1.1 404", "HTTP/1.1 204 a b", "HTTP/1.1 304 ", "HTTP/1.1 100 x", "HTTP/1.1 101 x", "HTTP/1.1 999 \xff", "HTTP/1.1 1e2 x", "HTTP/1.1 200\tx",
	})
	fields := rapid.SampledFrom([]string{
		"Content-Length: 5", "Content-Length: 5", "Content-Length: 0", "content-LENGTH:\t5 ", "Content-Length: 05", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked", "Connection: close", "Connection: keep-alive",
		"Trailer: A", "Trailer: ,B,", "Transfer-Encoding: Chunked", "A: b", "A:", "A: \xff", "a_b: c", "Content-Length: 6", "Content-Length: -1", " A: b", "A\t: b",
	})
	contents := rapid.SampledFrom([]string{
		"", "hello", "hell", "hello!", "5\r\nhello\r\n0\r\n\r\n", "5;a\r\nhello\r\n00\r\nA: b\r\n\r\n", "5\r\nhello\r\n", "05\r\nhello\r\n0\r\n\r\nx", "5 \r\nhello\r\n0\r\n\r\n", "5\r\nhello\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
	})
	rapid.Check(t, func(t *rapid.T) {
		var b strings.Builder
		for range rapid.IntRange(1, 2).Draw(t, "heads") {
			b.WriteString(lines.Draw(t, "line") + "\r\n")
			for _, field := range rapid.SliceOfN(fields, 0, 2).Draw(t, "fields") {
				b.WriteString(field + "\r\n")
			}
			b.WriteString("\r\n" + contents.Draw(t, "content"))
		}
		sameAnswer(t, rapid.SampledFrom([]string{"GET", "HEAD"}).Draw(t, "method"), b.String(), rapid.IntRange(1, 100).Draw(t, "size"))
	})
}

func sameAnswer(t fataler, method, input string, size int) {
	var r Responses
	passed, _ := passAnswer(&r, method, input, size)
	if whole, _ := passAnswer(new(Responses), method, input, max(1, len(input))); whole != passed {
		t.Fatalf("in pieces of %d: %q, at once: %q", size, passed, whole)
	}
	ours, behind := readAnswers(t, method, passed)
	theirs, rest := parseAnswers(method, passed)
	if !slices.Equal(ours, theirs) || behind != rest {
		t.Fatalf("net/http reads\n%q and leaves %q, not\n%q and %q in\n%q", theirs, rest, ours, behind, passed)
	}
}

// readAnswers cuts into answers as this package understands them; rest is what
// stands behind one that switches protocols.
func readAnswers(t fataler, method, passed string) (answers []string, rest string) {
	var r Responses
	r.Expect(method)
	b := []byte(passed)
	for len(b) > 0 {
		n, err := r.part(b)
		if n == 0 || err != nil {
			break // half a head is not let through
		}
		head := strings.Split(strings.TrimSuffix(string(b[:n]), "\r\n\r\n"), "\r\n")
		b = b[n:]
		var body []byte
		for r.state != atHead && r.state != opaque && len(b) > 0 {
			data := r.state == inContent || r.state == inChunk || r.state == untilClose
			n, err := r.part(b)
			if n == 0 || err != nil {
				break
			}
			if data {
				body = append(body, b[:n]...)
			}
			b = b[n:]
		}
		header := make(http.Header)
		for _, line := range head[1:] {
			name, value, _ := strings.Cut(line, ":")
			header.Add(name, strings.Trim(value, " \t"))
		}
		whole := r.state == atHead || r.state == untilClose || r.state == opaque
		answers = append(answers, describeAnswer(head[0], header, body, whole))
		if !whole || r.state != atHead || r.Whole() {
			break
		}
	}
	if r.state != opaque {
		b = nil
	}
	return answers, string(b)
}

// parseAnswers has net/http read the same.
func parseAnswers(method, passed string) (answers []string, rest string) {
	b := bufio.NewReader(strings.NewReader(passed))
	for {
		resp, err := http.ReadResponse(b, &http.Request{Method: method})
		if err != nil {
			return answers, ""
		}
		if resp.StatusCode == http.StatusSwitchingProtocols {
			rest, _ := io.ReadAll(b)
			return append(answers, describeAnswer(resp.Proto+" "+resp.Status, resp.Header, nil, true)), string(rest)
		}
		body, err := io.ReadAll(resp.Body)
		answers = append(answers, describeAnswer(resp.Proto+" "+resp.Status, resp.Header, body, err == nil))
		if resp.StatusCode >= 200 {
			return answers, ""
		}
	}
}

func describeAnswer(line string, header http.Header, content []byte, whole bool) string {
	for _, name := range []string{"Transfer-Encoding", "Trailer", "Connection", "Content-Length"} { // net/http moves these
		header.Del(name)
	}
	version, status, _ := strings.Cut(line, " ")
	if !whole {
		content = []byte("cut")
	}
	return fmt.Sprintf("%s %s %q %q", version, strings.TrimRight(status, " \t"), header, content)
}
