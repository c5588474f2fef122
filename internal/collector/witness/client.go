// Package witness has the checkpoints of tenants' logs cosigned by witnesses (C2SP
// tlog-witness), so that a collector cannot show two people two logs: a witness
// cosigns no checkpoint that does not extend all that it has cosigned before.
package witness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/signet-egress/signet/receipts/logproof"
)

// Client asks one witness.
type Client struct {
	witness *logproof.Witness
	url     string // of add-checkpoint
	http    *http.Client
}

const (
	// answerWithin is how long a witness has. It signs and syncs once.
	answerWithin = 10 * time.Second
	// maxAnswer bounds an answer: a line for each key that the witness has, of some 200
	// bytes, or 3.5 kB for ML-DSA-44.
	maxAnswer = 16 << 10
)

// New reads what names a witness: its verifier key (C2SP signed-note) and its
// submission prefix (C2SP tlog-witness), with a space between.
func New(named string) (*Client, error) {
	key, prefix, ok := strings.Cut(strings.TrimSpace(named), " ")
	if !ok {
		return nil, fmt.Errorf("witness %q: want a verifier key and a URL, with a space between", named)
	}
	w, err := logproof.NewWitness(key)
	if err != nil {
		return nil, fmt.Errorf("witness %q: %w", named, err)
	}
	u, err := url.Parse(strings.TrimSpace(prefix))
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("witness %s: %q is not the URL that its add-checkpoint is below", w.Name(), prefix)
	}
	return &Client{witness: w, url: u.JoinPath("add-checkpoint").String(), http: &http.Client{
		Timeout: answerWithin,
		// A witness is where it was configured to be.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Name is the witness's.
func (c *Client) Name() string { return c.witness.Name() }

// Keys are the verifier keys of witnesses, which name them in the store.
func Keys(clients []*Client) []string {
	keys := make([]string, len(clients))
	for i, c := range clients {
		keys[i] = c.witness.String()
	}
	return keys
}

// maxWitnesses bounds what is kept: it is a few checkpoints for each set of them.
const maxWitnesses = 16

// Distinct tells whether clients are few, and each is another witness: two names of
// one key are not.
func Distinct(clients []*Client) error {
	if len(clients) > maxWitnesses {
		return fmt.Errorf("%d witnesses, and at most %d are asked", len(clients), maxWitnesses)
	}
	all := make([]*logproof.Witness, len(clients))
	for i, c := range clients {
		all[i] = c.witness
	}
	_, err := logproof.Needed(0, all...)
	return err
}

// Close lets go of idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// SizeError says that the newest checkpoint of a log that a witness has cosigned is
// of another size than it was asked to go on from.
type SizeError struct{ Size int64 }

func (e *SizeError) Error() string {
	return fmt.Sprintf("the newest checkpoint that it has cosigned is of %d records", e.Size)
}

// ErrInconsistent says that a witness finds a checkpoint not to extend the one that
// it has cosigned: one of the two is of another history.
var ErrInconsistent = errors.New("it finds that the log does not extend what it has cosigned before")

// UnansweredError says that a witness is not there, or has no time now: what it is
// asked about does not matter.
type UnansweredError struct{ Err error }

func (e *UnansweredError) Error() string { return "no answer: " + e.Err.Error() }

func (e *UnansweredError) Unwrap() error { return e.Err }

// Add has the witness cosign a checkpoint that a proof leads to from the tree of an
// older size. Errors are *SizeError, ErrInconsistent, *UnansweredError, or say why it
// does not cosign this log.
func (c *Client) Add(ctx context.Context, old int64, proof tlog.TreeProof, checkpoint []byte) (logproof.Cosignature, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body(old, proof, checkpoint)))
	if err != nil {
		return logproof.Cosignature{}, err
	}
	request.Header.Set("Content-Type", "text/plain; charset=utf-8")
	answer, err := c.http.Do(request)
	if err != nil {
		return logproof.Cosignature{}, &UnansweredError{err}
	}
	defer func() { _ = answer.Body.Close() }() // read as far as it is wanted
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	if err != nil {
		return logproof.Cosignature{}, &UnansweredError{err}
	}
	return c.read(answer.StatusCode, answer.Header.Get("Content-Type"), checkpoint, text)
}

func body(old int64, proof tlog.TreeProof, checkpoint []byte) []byte {
	b := fmt.Appendf(nil, "old %d\n", old)
	for _, h := range proof {
		b = fmt.Appendln(b, h.String()) // base64
	}
	return append(append(b, '\n'), checkpoint...)
}

// read finds the witness's cosignature in its answer, or what it means that there is
// none.
func (c *Client) read(status int, contentType string, checkpoint, text []byte) (none logproof.Cosignature, err error) {
	switch {
	case len(text) > maxAnswer:
		return none, &UnansweredError{fmt.Errorf("an answer of more than %d bytes", maxAnswer)}
	case status >= 500 || status == http.StatusTooManyRequests:
		return none, &UnansweredError{fmt.Errorf("%d %s: %.200q", status, http.StatusText(status), text)}
	}
	switch status {
	case http.StatusOK:
		return c.cosignature(checkpoint, text)
	case http.StatusNotFound:
		return none, errors.New("it does not know the log (404): its operator must be given the log's verifier key")
	case http.StatusForbidden:
		return none, errors.New("it knows the log by another key (403)")
	case http.StatusUnprocessableEntity:
		return none, ErrInconsistent
	case http.StatusConflict:
		return none, conflict(contentType, string(text))
	}
	return none, fmt.Errorf("it answers %d %s: %.200q", status, http.StatusText(status), text)
}

func (c *Client) cosignature(checkpoint, lines []byte) (none logproof.Cosignature, err error) {
	if bytes.HasPrefix(lines, []byte("\n")) || bytes.Contains(lines, []byte("\n\n")) {
		return none, errors.New("its answer has an empty line, behind which it would be of another text") // C2SP signed-note: the last one ends the text
	}
	found, _, err := logproof.Cosignatures(append(bytes.Clone(checkpoint), lines...), []*logproof.Witness{c.witness})
	if err != nil {
		return none, fmt.Errorf("read its cosignature: %w", err)
	}
	if len(found) == 0 {
		return none, fmt.Errorf("its answer has no cosignature by the key %s", c.witness)
	}
	return found[0], nil
}

// conflict tells the two meanings of the status apart.
func conflict(contentType, text string) error {
	if contentType != "text/x.tlog.size" {
		return ErrInconsistent // two trees of one size
	}
	digits, ok := strings.CutSuffix(text, "\n")
	size, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || size < 0 || strconv.FormatInt(size, 10) != digits {
		return fmt.Errorf("it answers 409 with %.40q, which is no size", text)
	}
	return &SizeError{size}
}
