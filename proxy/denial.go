package proxy

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/signet-egress/signet/internal/policy"
	"github.com/signet-egress/signet/receipts"
)

// Header fields of a denial. Agents and upstreams cannot set them: all
// X-Signet-* fields are stripped both ways.
const (
	reasonField  = "X-Signet-Reason"
	receiptField = "X-Signet-Receipt"
)

// denial is the error of an exchange that is not carried to its end. This file
// is the one place that turns it into an answer.
type denial struct {
	reason  policy.Reason
	outcome receipts.Outcome // Denied, or Failed once Signet had agreed to carry
	status  int              // 0: the reason's own
	detail  string           // for the agent; never a peer's text
	err     error            // for the log

	contract   string   // that refused the body; "" where none did
	violations []string // ids of its rules that do not hold

	retryAfter time.Duration // when trying again may help; 0 unknown
}

func (d *denial) Error() string {
	if d.err != nil {
		return fmt.Sprintf("%s: %v", d.reason, d.err)
	}
	return string(d.reason)
}

func (d *denial) Unwrap() error { return d.err }

func deny(reason policy.Reason, detail string, err error) *denial {
	return &denial{reason: reason, outcome: receipts.Denied, detail: detail, err: err}
}

func fail(reason policy.Reason, detail string, err error) *denial {
	return &denial{reason: reason, outcome: receipts.Failed, detail: detail, err: err}
}

func refuseExpectation() *denial {
	d := deny(policy.TargetMalformed, "the only expectation is 100-continue", nil)
	d.status = http.StatusExpectationFailed
	return d
}

// statusOf maps a reason to its HTTP status; what is not listed is 403.
func statusOf(r policy.Reason) int {
	switch r {
	case policy.TargetMalformed:
		return http.StatusBadRequest
	case policy.AuthRequired:
		return http.StatusProxyAuthRequired
	case policy.AuthorityMismatch:
		return http.StatusMisdirectedRequest
	case policy.PayloadTooLarge:
		return http.StatusRequestEntityTooLarge
	case policy.PayloadMalformed, policy.PayloadNotInspectable, policy.RepairRefused, policy.SchemaInvalid,
		policy.InvariantViolated, policy.OriginalMissing:
		return http.StatusUnprocessableEntity
	case policy.ClientAborted: // and is still there: its body stood still
		return http.StatusRequestTimeout
	case policy.RateLimited, policy.LimitExceeded, policy.FUQuotaExceeded:
		return http.StatusTooManyRequests
	case policy.ResolveFailed, policy.UpstreamFailed, policy.UpstreamAborted:
		return http.StatusBadGateway
	case policy.UpstreamTimeout:
		return http.StatusGatewayTimeout
	case policy.JournalUnavailable:
		return http.StatusServiceUnavailable
	case policy.LoopDetected:
		return http.StatusLoopDetected
	case policy.Internal:
		return http.StatusInternalServerError
	}
	return http.StatusForbidden
}

func (d *denial) code() int { return cmp.Or(d.status, statusOf(d.reason)) }

// problem is the body of a denial: RFC 9457, with Signet's own members.
type problem struct {
	Title      string   `json:"title"`
	Status     int      `json:"status"`
	Detail     string   `json:"detail,omitempty"`
	Reason     string   `json:"reason"`
	Rule       string   `json:"rule,omitempty"`
	Host       string   `json:"host,omitempty"`
	Contract   string   `json:"contract,omitempty"`
	Violations []string `json:"violations,omitempty"`
	Hint       string   `json:"hint,omitempty"`
	ReceiptID  string   `json:"receipt_id,omitempty"`
}

// answerTo is the whole answer for one denied exchange.
type answerTo struct {
	status int
	reason policy.Reason
	header http.Header
	body   []byte
}

// answer puts a denial in HTTP form. receiptID is "" where no receipt could be written.
func (d *denial) answer(rule, host, receiptID string) *answerTo {
	a := &answerTo{status: d.code(), reason: d.reason, header: make(http.Header, 6)}
	p := problem{
		Title: http.StatusText(a.status), Status: a.status, Detail: d.detail, Reason: string(d.reason),
		Rule: rule, Host: host, Contract: d.contract, Violations: d.violations, Hint: d.reason.Hint(), ReceiptID: receiptID,
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(p) // strings and an int always encode
	a.body = b.Bytes()
	a.header.Set("Content-Type", "application/problem+json")
	a.header.Set("Cache-Control", "no-store")
	a.header.Set(reasonField, string(d.reason))
	if receiptID != "" {
		a.header.Set(receiptField, receiptID)
	}
	if a.status == http.StatusProxyAuthRequired {
		a.header["Proxy-Authenticate"] = []string{`Basic realm="Signet", charset="UTF-8"`, `Bearer realm="Signet"`}
	}
	if a.status == http.StatusTooManyRequests || a.status == http.StatusServiceUnavailable {
		seconds := max(1, (d.retryAfter+time.Second-1)/time.Second)
		a.header.Set("Retry-After", strconv.FormatInt(int64(seconds), 10))
	}
	return a
}

// grpc is the same denial as a trailers-only gRPC answer.
func (a *answerTo) grpc() *answerTo {
	g := &answerTo{status: http.StatusOK, reason: a.reason, header: a.header.Clone()}
	g.header.Set("Content-Type", "application/grpc")
	g.header.Set("Grpc-Status", strconv.Itoa(grpcCode(a.status)))
	g.header.Set("Grpc-Message", "Signet "+string(a.reason))
	return g
}

// grpcCode follows the gRPC status codes of google.rpc.Code.
func grpcCode(status int) int {
	const invalidArgument, permissionDenied, resourceExhausted, internal, unavailable, unauthenticated = 3, 7, 8, 13, 14, 16
	switch status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusRequestEntityTooLarge:
		return invalidArgument
	case http.StatusProxyAuthRequired:
		return unauthenticated
	case http.StatusTooManyRequests:
		return resourceExhausted
	case http.StatusBadGateway, http.StatusGatewayTimeout, http.StatusServiceUnavailable, http.StatusRequestTimeout:
		return unavailable
	case http.StatusInternalServerError:
		return internal
	}
	return permissionDenied
}

func isGRPC(r *http.Request) bool {
	return r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc")
}

// writeTo sends the answer through an http.ResponseWriter.
func (a *answerTo) writeTo(w http.ResponseWriter) {
	h := w.Header()
	clear(h)
	for k, v := range a.header {
		h[k] = v
	}
	if len(a.body) > 0 {
		h.Set("Content-Length", strconv.Itoa(len(a.body)))
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // an agent that left is no concern of ours
}

// raw is the answer as HTTP/1.1 bytes. Its status line names the reason, since
// most clients show nothing else of a refused CONNECT.
func (a *answerTo) raw() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d Signet %s\r\n", a.status, a.reason)
	_ = a.header.Write(&b)
	fmt.Fprintf(&b, "Content-Length: %d\r\nConnection: close\r\n\r\n", len(a.body))
	b.Write(a.body)
	return b.Bytes()
}
