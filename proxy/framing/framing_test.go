package framing

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

const get = "GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n"

// pass hands input in as pieces of the given size, as a connection would, and
// returns what was let through and why the rest was not.
func pass(q *Requests, input string, size int) (passed string, err *Error) {
	var held []byte
	for input != "" {
		n := min(size, len(input))
		held = append(held, input[:n]...)
		input = input[n:]
		n, err = q.Pass(held)
		passed += string(held[:n])
		held = held[n:]
		if err != nil {
			return passed, err
		}
	}
	return passed, nil
}

// What every parser reads alike goes on byte for byte, however it comes.
func TestPasses(t *testing.T) {
	chunked := "POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"
	for name, c := range map[string]struct {
		input string
		heads int64
	}{
		"one":                        {get + "\r\n", 1},
		"three at once":              {strings.Repeat(get+"\r\n", 3), 3},
		"content":                    {"POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\n\r\n\n\x00:" + get + "\r\n", 2},
		"no content":                 {"POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n" + get + "\r\n", 2},
		"chunks":                     {chunked + "5\r\nGET /\r\n00a\r\n0123456789\r\n0\r\n\r\n" + get + "\r\n", 2},
		"an extension":               {chunked + "1;a=\"b\"\r\nx\r\n0;c\r\n\r\n" + get + "\r\n", 2},
		"extensions up to 4 KiB":     {chunked + strings.Repeat("1;"+strings.Repeat("e", 1023)+"\r\nx\r\n", 4) + "0\r\n\r\n", 1},
		"trailers":                   {chunked + "0\r\nA: b\r\nContent-Length: 3\r\n\r\n" + get + "\r\n", 2},
		"the longest size":           {chunked + "0000000000000001\r\nx\r\n0\r\n\r\n", 1},
		"HTTP/1.0 without Host":      {"GET http://a.test/ HTTP/1.0\r\n\r\n", 1},
		"CONNECT, then anything":     {"CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n\x16\x03\x01\n\n", 1},
		"CONNECT of Python 3.11":     {"CONNECT a.test:443 HTTP/1.0\r\n\r\n\x16\x03\x01", 1},
		"CONNECT, Host with no port": {"CONNECT a.test:443 HTTP/1.1\r\nHost: A.test\r\nContent-Length: 0\r\n\r\n", 1},
		"Host in other case":         {"GET http://A.test:80/ HTTP/1.1\r\nHost: a.TEST\r\n\r\n", 1},
		"Host with a final dot":      {"GET http://a.test/ HTTP/1.1\r\nHost: a.test.\r\n\r\n", 1},
		"Host of an IDN":             {"GET http://b\u00fccher.test/ HTTP/1.1\r\nHost: xn--bcher-kva.test\r\n\r\n", 1},
		"IPv6":                       {"GET http://[2001:DB8::1]:8080/ HTTP/1.1\r\nHost: [2001:db8:0::1]:8080\r\n\r\n", 1},
		"origin-form":                {"GET /a%2Fb?c=%zz HTTP/1.1\r\nHost: a.test\r\n\r\n", 1},
		"a target for the pipeline":  {"GET http://u@a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n", 1},
		"values of all kinds":        {get + "A:\r\nB: \t \r\nC:\x80\xff \t\"\\\r\n!#$%&'*+-.^_`|~1a: x\r\n\r\n", 1},
		"the longest line":           {"GET http://a.test/" + strings.Repeat("a", MaxRequestLine-27) + " HTTP/1.1\r\nHost: a.test\r\n\r\n", 1},
		"the largest header":         {get + "A: " + strings.Repeat("a", MaxHeaderBlock-21) + "\r\n\r\n", 1},
	} {
		t.Run(name, func(t *testing.T) {
			for _, size := range []int{1, 2, 7, 100, len(c.input)} {
				var q Requests
				passed, err := pass(&q, c.input, size)
				if err != nil || passed != c.input || q.Heads() != c.heads {
					t.Fatalf("in pieces of %d: %d heads, %d of %d bytes, %v", size, q.Heads(), len(passed), len(c.input), err)
				}
			}
		})
	}
}

// Nothing of a head goes on that breaks a rule, nor of what comes behind it, and
// all that came before it does.
func TestRefusedHeads(t *testing.T) {
	post := "POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\n"
	for name, c := range map[string]struct {
		input  string
		status int
		detail string // a part of it
	}{
		"nothing":                    {"\r\n", 400, "name of a method"},
		"TLS":                        {"\x16\x03\x01\x00\x05", 400, "this is TLS"},
		"binary":                     {"\x00", 400, "name of a method"},
		"no blank":                   {"GET\r\n\r\n", 400, "request line"},
		"one blank":                  {"GET http://a.test/\r\n\r\n", 400, "request line"},
		"two blanks in a row":        {"GET  http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, "target"},
		"a blank in the target":      {"GET http://a.test/a b HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, "target"},
		"a tab":                      {"GET\thttp://a.test/\tHTTP/1.1\r\nHost: a.test\r\n\r\n", 400, "request line"},
		"a method that is no token":  {"GE(T http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, "method"},
		"HTTP/2 preface":             {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "HTTP/2"},
		"HTTP/1.2":                   {"GET http://a.test/ HTTP/1.2\r\n\r\n", 505, "versions"},
		"http/1.1":                   {"GET http://a.test/ http/1.1\r\n\r\n", 400, "version"},
		"HTTP/1.10":                  {"GET http://a.test/ HTTP/1.10\r\n\r\n", 400, "version"},
		"line too long":              {"GET http://a.test/" + strings.Repeat("a", MaxRequestLine), 400, "8192"},
		"no Host":                    {"GET http://a.test/ HTTP/1.1\r\n\r\n", 400, "no Host"},
		"no Host for CONNECT":        {"CONNECT a.test:443 HTTP/1.1\r\n\r\n", 400, "no Host"},
		"two Hosts":                  {get + "hOST: a.test\r\n\r\n", 400, "more than one Host"},
		"another Host":               {"GET http://a.test/ HTTP/1.1\r\nHost: b.test\r\n\r\n", 400, "does not name"},
		"another port":               {"GET http://a.test/ HTTP/1.1\r\nHost: a.test:81\r\n\r\n", 400, "does not name"},
		"an empty Host":              {"GET http://a.test/ HTTP/1.1\r\nHost:\r\n\r\n", 400, "does not name"},
		"another Host for CONNECT":   {"CONNECT a.test:443 HTTP/1.1\r\nHost: b.test:443\r\n\r\n", 400, "does not name"},
		"another Host in HTTP/1.0":   {"GET http://a.test/ HTTP/1.0\r\nHost: b.test\r\n\r\n", 400, "does not name"},
		"a Host with a blank":        {"GET http://a.test/ HTTP/1.1\r\nHost: a.test b.test\r\n\r\n", 400, "not a host"},
		"a Host with a user":         {"GET http://a.test/ HTTP/1.1\r\nHost: u@a.test\r\n\r\n", 400, "not a host"},
		"an escape cut off":          {"GET http://a.test/%4 HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, "%"},
		"two ports":                  {"CONNECT a.test:443:80 HTTP/1.1\r\nHost: a.test:443\r\n\r\n", 400, "colon"},
		"length and coding":          {post + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "both"},
		"coding and length":          {post + "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", 400, "both"},
		"two lengths":                {post + "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", 400, "more than one Content-Length"},
		"a length with a sign":       {post + "Content-Length: +1\r\n\r\n", 400, "Content-Length"},
		"a length below zero":        {post + "Content-Length: -1\r\n\r\n", 400, "Content-Length"},
		"a list of lengths":          {post + "Content-Length: 1, 1\r\n\r\n", 400, "Content-Length"},
		"a length in hexadecimal":    {post + "Content-Length: 0x1\r\n\r\n", 400, "Content-Length"},
		"a length with a blank":      {post + "Content-Length: 1 1\r\n\r\n", 400, "Content-Length"},
		"no length":                  {post + "Content-Length:\r\n\r\n", 400, "Content-Length"},
		"a length of 2^63":           {post + "Content-Length: 9223372036854775808\r\n\r\n", 400, "Content-Length"},
		"a length of 20 digits":      {post + "Content-Length: 00000000000000000001\r\n\r\n", 400, "Content-Length"},
		"another coding":             {post + "Transfer-Encoding: gzip\r\n\r\n", 400, "exactly chunked"},
		"two codings":                {post + "Transfer-Encoding: gzip, chunked\r\n\r\n", 400, "exactly chunked"},
		"Chunked":                    {post + "Transfer-Encoding: Chunked\r\n\r\n", 400, "exactly chunked"},
		"chunked behind a VT":        {post + "Transfer-Encoding: \x0bchunked\r\n\r\n", 400, "control"},
		"chunked twice":              {post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "more than one Transfer-Encoding"},
		"no coding":                  {post + "Transfer-Encoding:\r\n\r\n", 400, "exactly chunked"},
		"chunked in HTTP/1.0":        {"POST http://a.test/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "HTTP/1.0"},
		"CONNECT with content":       {"CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\nContent-Length: 1\r\n\r\n", 400, "CONNECT"},
		"chunked CONNECT":            {"CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "CONNECT"},
		"bare LF in the first line":  {"GET http://a.test/ HTTP/1.1\nHost: a.test\r\n\r\n", 400, "bare LF"},
		"bare LF in a field":         {get + "A: b\nC: d\r\n\r\n", 400, "bare LF"},
		"bare LF at the end":         {get + "\n", 400, "bare LF"},
		"bare CR in the first line":  {"GET http://a.test/\r HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, "control"},
		"bare CR in a field":         {get + "A: b\rC: d\r\n\r\n", 400, "bare CR"},
		"bare CR before the end":     {get + "A: b\r\r\n\r\n", 400, "bare CR"},
		"folded with a blank":        {get + "A: b\r\n c\r\n\r\n", 400, "folded"},
		"folded with a tab":          {get + "A: b\r\n\tc\r\n\r\n", 400, "folded"},
		"folded first":               {"GET http://a.test/ HTTP/1.1\r\n Host: a.test\r\n\r\n", 400, "folded"},
		"NUL in a value":             {get + "A: b\x00c\r\n\r\n", 400, "NUL"},
		"NUL in a name":              {get + "A\x00: b\r\n\r\n", 400, "not a token"},
		"DEL in a value":             {get + "A: \x7f\r\n\r\n", 400, "control"},
		"a blank before the colon":   {get + "A : b\r\n\r\n", 400, "white space"},
		"a tab before the colon":     {get + "Content-Length\t: 1\r\n\r\n", 400, "white space"},
		"a blank in a name":          {get + "A B: c\r\n\r\n", 400, "not a token"},
		"a name that is no token":    {get + "A(): b\r\n\r\n", 400, "not a token"},
		"a name beyond ASCII":        {get + "Conte\u00f1t: b\r\n\r\n", 400, "not a token"},
		"an empty name":              {get + ": b\r\n\r\n", 400, "not a token"},
		"no colon":                   {get + "A\r\n\r\n", 400, "no colon"},
		"another expectation":        {post + "Expect: 200-ok\r\n\r\n", 417, "expectation"},
		"two expectations":           {post + "Expect: 100-continue\r\nExpect: x\r\n\r\n", 417, "expectation"},
		"a framing field as trailer": {post + "Trailer: A , content-LENGTH\r\n\r\n", 400, "Trailer"},
		"header too large":           {get + "A: " + strings.Repeat("a", MaxHeaderBlock), 431, "32768"},
	} {
		t.Run(name, func(t *testing.T) {
			before := get + "\r\n"
			for _, size := range []int{1, 2, 7, 100, 1 << 20} {
				var q Requests
				passed, err := pass(&q, before+c.input+before, size)
				if err == nil || err.Status != c.status || !strings.Contains(err.Detail, c.detail) || err.Content || err.TooLarge != (c.status == 431) {
					t.Fatalf("in pieces of %d: %+v", size, err)
				}
				if passed != before || q.Heads() != 1 {
					t.Fatalf("in pieces of %d: %d heads, let through %q", size, q.Heads(), passed)
				}
				if n, err := q.Pass([]byte(before)); n != 0 || err != nil {
					t.Fatalf("afterwards %d bytes are let through: %v", n, err)
				}
			}
		})
	}
}

// Of content, what came before the fault goes on.
func TestRefusedChunks(t *testing.T) {
	head := "POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"
	for name, c := range map[string]struct{ good, bad, detail string }{
		"no size":                {"", "\r\n", "size"},
		"a size that is none":    {"1\r\na\r\n", "g\r\n", "size"},
		"a size with a sign":     {"", "+1\r\n", "size"},
		"a size with 0x":         {"", "0x1\r\na\r\n0\r\n\r\n", "extension"},
		"a size with a blank":    {"", "1 \r\na\r\n0\r\n\r\n", "extension"},
		"a blank, an extension":  {"", "1 ;a\r\na\r\n0\r\n\r\n", "extension"},
		"17 digits":              {"", "00000000000000001\r\na\r\n0\r\n\r\n", "size"},
		"a size of 2^63":         {"", "8000000000000000\r\n", "size"},
		"bare LF":                {"1\r\na\r\n", "1\na\r\n0\r\n\r\n", "bare LF"},
		"bare LF behind data":    {"1\r\na", "\n0\r\n\r\n", "CRLF"},
		"more data than size":    {"1\r\na", "b\r\n0\r\n\r\n", "CRLF"},
		"CR without LF":          {"1\r\na", "\rb", "CRLF"},
		"bare LF in extension":   {"", "1;a=\"\n\"\r\na\r\n0\r\n\r\n", "bare LF"},
		"bare CR in extension":   {"", "1;a\rb\r\na\r\n0\r\n\r\n", "control"},
		"extensions over 4 KiB":  {strings.Repeat("1;"+strings.Repeat("e", 1023)+"\r\nx\r\n", 4), "1;\r\n", "4096"},
		"a line over 4 KiB":      {"", "1;" + strings.Repeat("e", 4096) + "\r\n", "4096"},
		"an endless line":        {"", "1;" + strings.Repeat("e", 5000), "4096"},
		"a folded trailer":       {"0\r\n", "A: b\r\n c\r\n\r\n", "folded"},
		"a trailer without name": {"0\r\n", ": b\r\n\r\n", "token"},
		"a trailer with bare LF": {"0\r\n", "A: b\n\r\n", "bare LF"},
		"trailers over 4 KiB":    {"0\r\n", "A: " + strings.Repeat("b", 4096), "4096"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, size := range []int{1, 2, 7, 100, 1 << 20} {
				var q Requests
				passed, err := pass(&q, head+c.good+c.bad, size)
				if err == nil || err.Status != http.StatusBadRequest || !err.Content || !strings.Contains(err.Detail, c.detail) {
					t.Fatalf("in pieces of %d: %+v", size, err)
				}
				if passed != head+c.good {
					t.Fatalf("in pieces of %d: let through %q", size, passed)
				}
			}
		})
	}
}

// Behind an upgrade that was asked for, nothing is taken for a request until it
// is known that it is one.
func TestUpgrade(t *testing.T) {
	var q Requests
	ask := "GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n"
	n, err := q.Pass([]byte(ask + "\x81\x00"))
	if n != len(ask) || err != nil || !q.Upgrading() {
		t.Fatal(n, err)
	}
	q.NotUpgraded()
	if n, err := q.Pass([]byte("\x81\x00")); n != 0 || err == nil {
		t.Fatal(n, err)
	}
}

// CONNECT may name the proxy, as the agent calls it, and only CONNECT may.
func TestHostOfTheProxy(t *testing.T) {
	for host, want := range map[string]bool{"127.0.0.1:3128": true, "localhost:3128": true, "127.0.0.1:3129": false, "127.0.0.2:3128": false, "localhost": false, "b.test:443": false} {
		for head, want := range map[string]bool{"CONNECT a.test:443": want, "GET http://a.test/": false} {
			q := Requests{Proxy: netip.MustParseAddrPort("127.0.0.1:3128")}
			if _, err := q.Pass([]byte(head + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n")); (err == nil) != want {
				t.Errorf("%s, Host %s: %v", head, host, err)
			}
		}
	}
}

func BenchmarkPass(b *testing.B) {
	for name, input := range map[string]string{
		"browser": "GET http://api.example.com/v1/models?limit=20 HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: agent/1.0 (linux; x86_64)\r\n" +
			"Accept: application/json\r\nAccept-Encoding: gzip, deflate, br\r\nAuthorization: Bearer " + strings.Repeat("x", 160) + "\r\nConnection: keep-alive\r\n\r\n",
		"small":   get + "\r\n",
		"1 MiB":   fmt.Sprintf("POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n%s", 1<<20, strings.Repeat("x", 1<<20)),
		"chunks":  "POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("400\r\n"+strings.Repeat("x", 1024)+"\r\n", 1024) + "0\r\n\r\n",
		"CONNECT": "CONNECT api.example.com:443 HTTP/1.1\r\nHost: api.example.com:443\r\n\r\n",
	} {
		b.Run(name, func(b *testing.B) {
			data := []byte(input)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				var q Requests
				if n, err := q.Pass(data); n != len(data) || err != nil {
					b.Fatal(n, err)
				}
			}
		})
	}
}
