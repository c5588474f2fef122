package payload

import (
	"context"
	"errors"
	"mime"
	"strconv"
	"strings"

	"github.com/signet-egress/signet/internal/jsonx"
	"github.com/signet-egress/signet/internal/policy"
)

// parse reads the body strictly. It must not be said to be something else: who
// takes it for a form, or for text in another charset, reads other values in it
// than those that are checked.
func (x *inspection) parse(ctx context.Context) *Refusal {
	if problem := notJSON(x.request.Type); problem != "" {
		return refuse(policy.PayloadNotInspectable, problem, nil)
	}
	var err error
	if x.document, err = parse(x.body, x.contract.options, x.contract.embedded); err == nil {
		return nil
	}
	if x.contract.repair == (Repairs{}) {
		return refuse(policy.PayloadMalformed, "the body is malformed "+where(err), err)
	}
	return x.mend(ctx, err)
}

// where says where a text is malformed, and how.
func where(err error) string {
	var inner *embeddedError
	if errors.As(err, &inner) {
		return "within the string " + strconv.Quote(inner.at.String()) + ", " + inner.err.Error()
	}
	return err.Error()
}

// notJSON says why a Content-Type is not that of JSON in UTF-8 (RFC 8259, section
// 8.1; RFC 6839, section 3.1); "" where it is, and where there is none. text/plain
// is nobody's syntax.
func notJSON(field string) string {
	if field == "" {
		return ""
	}
	kind, parameters, err := mime.ParseMediaType(field)
	charset := strings.ToLower(parameters["charset"])
	switch {
	case err != nil || !isJSON(kind):
		return "the body is of type " + strconv.QuoteToASCII(field[:min(len(field), 64)]) + ", and only JSON can be inspected; if it is JSON, its Content-Type is application/json"
	case charset != "" && charset != "utf-8" && charset != "utf8" && charset != "us-ascii":
		return "the body is in the charset " + strconv.QuoteToASCII(charset[:min(len(charset), 64)]) + ", and JSON is in UTF-8"
	}
	return ""
}

func isJSON(kind string) bool {
	switch kind {
	case "application/json", "text/json", "text/plain":
		return true
	}
	family, suffixed := strings.CutSuffix(kind, "+json")
	return suffixed && !strings.HasPrefix(family, "multipart/") && !strings.Contains(family, "urlencoded")
}

func (x *inspection) validate(s *schema) *Refusal {
	if detail, err := validate(s, x.document.seen); err != nil {
		return refuse(policy.SchemaInvalid, detail, err)
	}
	return nil
}

func byteCount(n int) string { return strconv.Itoa(n) + " bytes" }

// onlyPlace is the one place that a pattern leads to; its last token may be a
// member that is not there yet.
func onlyPlace(v *jsonx.Value, p jsonx.Pattern) (jsonx.Pointer, error) {
	last := len(p) - 1
	parents := v.Match(p[:last])
	switch len(parents) {
	case 1:
		return append(parents[0].Pointer, p[last]), nil
	case 0:
		return nil, errors.New("there is no place " + p.String() + " in the body")
	}
	return nil, errors.New("there are several places " + p.String() + " in the body")
}
