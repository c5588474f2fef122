package e2e

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// Whatever a client does to have a body pass unchecked, or read in another way
// than it was checked, the upstream does not see it.
func TestNoWayAroundAContract(t *testing.T) {
	s := newSite(t, options{rules: paymentContract, schemas: map[string]string{"payment.schema.json": paymentSchema}})
	car := s.start()
	const (
		good = `{"amount":1,"currency":"EUR"}`
		bad  = `{"amount":0,"currency":"EUR"}`
		path = "POST /echo/payments"
	)
	sized := func(body string) string { return fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body) }
	chunked := func(body, trailer string) string {
		return fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n%s\r\n", len(body), body, trailer)
	}
	passed := 0
	for name, tt := range map[string]struct {
		line, rest, reason string
	}{
		"as it should be": {path, sized(good), ""},
		"and chunked":     {path, chunked(good, "X-Trailer: amount=0\r\n"), ""},
		"a wrong amount":  {path, sized(bad), "INVARIANT_VIOLATED"},

		"another case":                {"POST /Echo/Payments", sized(bad), "INVARIANT_VIOLATED"},
		"a method in another case":    {"post /echo/payments", sized(bad), "INVARIANT_VIOLATED"},
		"a slash at the end":          {path + "/", sized(bad), "INVARIANT_VIOLATED"},
		"a query":                     {path + "?a=1", sized(bad), "INVARIANT_VIOLATED"},
		"an empty query":              {path + "?", sized(bad), "INVARIANT_VIOLATED"},
		"dots":                        {"POST /echo/x/../payments", sized(bad), "INVARIANT_VIOLATED"},
		"a dot":                       {path + "/.", sized(bad), "INVARIANT_VIOLATED"},
		"an escape":                   {"POST /echo/%70ayments", sized(bad), "INVARIANT_VIOLATED"},
		"an escaped slash":            {"POST /echo%2Fpayments", sized(bad), "INVARIANT_VIOLATED"},
		"an escaped escape":           {"POST /echo/%2570ayments", sized(bad), "INVARIANT_VIOLATED"},
		"two slashes":                 {"POST /echo//payments", sized(bad), "INVARIANT_VIOLATED"},
		"a parameter of the path":     {path + ";a=1", sized(bad), "INVARIANT_VIOLATED"},
		"a method in a field":         {"PUT /echo/payments", "X-HTTP-Method-Override: POST\r\n" + sized(bad), "HEL_METHOD_NOT_ALLOWED"},
		"a method in another field":   {"GET /echo/payments", "X-Method-Override: POST\r\n" + sized(bad), "HEL_METHOD_NOT_ALLOWED"},
		"the same method in a field":  {path, "X-HTTP-Method: POST\r\n" + sized(good), ""},
		"no body":                     {path, sized(""), "PAYLOAD_MALFORMED"},
		"no length":                   {path, "\r\n", "PAYLOAD_MALFORMED"},
		"a form that is JSON as well": {path, "Content-Type: application/x-www-form-urlencoded\r\n" + sized(`{"amount":1,"currency":"EUR","note":"&amount=0&"}`), "PAYLOAD_NOT_INSPECTABLE"},
		"two types":                   {path, "Content-Type: application/json\r\nContent-Type: application/x-www-form-urlencoded\r\n" + sized(good), "PAYLOAD_NOT_INSPECTABLE"},
		"another charset":             {path, "Content-Type: application/json; charset=utf-7\r\n" + sized(good), "PAYLOAD_NOT_INSPECTABLE"},
		"UTF-16":                      {path, sized("\xff\xfe{\x00}\x00"), "PAYLOAD_MALFORMED"},
		"a byte order mark":           {path, sized("\xef\xbb\xbf" + good), "PAYLOAD_MALFORMED"},
		"multipart":                   {path, "Content-Type: multipart/form-data; boundary=b\r\n" + sized("--b\r\nContent-Disposition: form-data; name=\"amount\"\r\n\r\n0\r\n--b--\r\n"), "PAYLOAD_NOT_INSPECTABLE"},
		"two documents":               {path, sized(good + bad), "PAYLOAD_MALFORMED"},
		"a NUL at the end":            {path, sized(good + "\x00"), "PAYLOAD_MALFORMED"},
		"an unknown coding":           {path, "Content-Encoding: aws-chunked\r\n" + sized(good), "PAYLOAD_NOT_INSPECTABLE"},
		"two codings":                 {path, "Content-Encoding: gzip, gzip\r\n" + sized(string(gzipped(t, string(gzipped(t, good))))), "PAYLOAD_NOT_INSPECTABLE"},
		"two codings in two fields":   {path, "Content-Encoding: identity\r\nContent-Encoding: br\r\n" + sized(good), "PAYLOAD_NOT_INSPECTABLE"},
		"a coding in CGI's words":     {path, "Content_Encoding: gzip\r\n" + sized(good), "PAYLOAD_NOT_INSPECTABLE"},
		"a type in CGI's words":       {path, "Content_Type: application/x-www-form-urlencoded\r\n" + sized(good), "PAYLOAD_NOT_INSPECTABLE"},
		"a method in CGI's words":     {"PUT /echo/payments", "X_HTTP_METHOD_OVERRIDE: POST\r\n" + sized(bad), "HEL_METHOD_NOT_ALLOWED"},
		"a coding that is none":       {path, "Content-Encoding: identity\r\n" + sized(good), ""},
		"a coding that it has not":    {path, "Content-Encoding: gzip\r\n" + sized(good), "PAYLOAD_NOT_INSPECTABLE"},
		"bytes after the gzip member": {path, "Content-Encoding: gzip\r\n" + sized(string(gzipped(t, good))+bad), "PAYLOAD_NOT_INSPECTABLE"},
		"two gzip members":            {path, "Content-Encoding: gzip\r\n" + sized(string(gzipped(t, good))+string(gzipped(t, bad))), "PAYLOAD_MALFORMED"},
		"an announced 100 MB":         {path, "Content-Length: 100000000\r\n\r\n{", "PAYLOAD_TOO_LARGE"},
	} {
		if tt.reason == "" {
			passed++
		}
		conn, err := car.inside(t, interceptedH1, "http/1.1")
		must(t, err)
		_, err = fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: %s\r\n%s", tt.line, strings.TrimPrefix(interceptedH1.url(s, ""), "https://"), tt.rest)
		must(t, err)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		must(t, err)
		must(t, resp.Body.Close())
		if got := resp.Header.Get("X-Signet-Reason"); got != tt.reason {
			t.Errorf("%s: %s %q, want %q", name, resp.Status, got, tt.reason)
		}
		_ = conn.Close() // Signet may have
	}
	car.stop()
	if n := int(s.old.RequestCount()); n != passed {
		t.Errorf("the upstream saw %d requests, want %d", n, passed)
	}
}

// What is remembered is a whole answer of the source that says yes, to the agent
// that asked for it.
func TestFactsAreNotPoisoned(t *testing.T) {
	const invoice = `{"order":"PO-7","invoice_id":"INV-2026-0042","amount":%s,"currency":"EUR"}`
	hostile := http.NewServeMux()
	answer := func(name string, status int, body string, fields ...string) {
		hostile.HandleFunc("GET /v1/invoices/"+name, func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(fields); i += 2 {
				w.Header().Add(fields[i], fields[i+1])
			}
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		})
	}
	other := fmt.Sprintf(invoice, "9")
	answer("good", 200, fmt.Sprintf(invoice, "1250.00"))
	for name, status := range map[string]int{"moved": 302, "missing": 404, "failed": 500, "partial": 206} {
		answer(name, status, other)
	}
	answer("cut", 200, other, "Content-Length", "1000")
	answer("twice", 200, other+other)
	answer("two-amounts", 200, strings.Replace(other, `"amount"`, `"amount":1,"amount"`, 1))
	answer("unknown-coding", 200, other, "Content-Encoding", "compress")
	answer("two-codings", 200, string(gzipped(t, other)), "Content-Encoding", "gzip", "Content-Encoding", "gzip")
	answer("no-coding", 200, other, "Content-Encoding", "gzip")
	answer("huge", 200, strings.Replace(other, "PO-7", "PO-7\",\"x\":\""+strings.Repeat("x", 11_000_000), 1))
	answer("bomb", 200, string(gzipped(t, strings.Replace(other, "PO-7", "PO-7\",\"x\":\""+strings.Repeat("x", 9_000_000), 1))), "Content-Encoding", "gzip")
	b := newBooksOf(t, hostile)
	car := b.start()
	client := car.client(interceptedH1)
	for _, name := range []string{"good", "moved", "missing", "failed", "partial", "cut", "twice", "two-amounts", "unknown-coding", "two-codings", "no-coding", "huge", "bomb"} {
		r := newRequest(t, b.erp.URL("erp.example", "/v1/invoices/"+name))
		r.Header.Set("Accept-Encoding", "gzip, compress")
		get(&http.Client{Transport: client.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, r)
		if status, answer, reason := post(t, client, b.bank.URL("bank.example", "/v1/payments"), payment); status != 200 {
			t.Fatalf("after %s: %d %s %s", name, status, reason, answer)
		}
	}
	car.stop()
}
