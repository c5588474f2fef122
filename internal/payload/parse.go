package payload

import (
	"bytes"
	"context"
	"errors"
	"mime"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/signet-egress/signet/internal/jsonx"
	"github.com/signet-egress/signet/internal/policy"
)

// parse reads the body strictly, whatever its Content-Type says: a service that
// parses JSON does so, too.
func (x *inspection) parse(ctx context.Context) *Refusal {
	x.document = nil
	d, err := parse(x.body, x.contract.options, x.contract.embedded)
	if err == nil {
		x.document = d
		return nil
	}
	if kind := otherType(x.request.Type); kind != "" && !startsJSON(x.body) {
		return refuse(policy.PayloadNotInspectable, "the body is of type "+strconv.QuoteToASCII(kind)+", and only JSON can be inspected", err)
	}
	if x.contract.repair == (Repairs{}) || x.result.Repair != nil {
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

// otherType is a declared media type that is not JSON; "" for JSON and for none.
func otherType(field string) string {
	kind, _, err := mime.ParseMediaType(field)
	if field == "" || err == nil && (strings.HasSuffix(kind, "json") || kind == "text/plain") {
		return ""
	}
	return field[:min(len(field), 64)]
}

// startsJSON tells whether the body begins as an array or an object does.
func startsJSON(data []byte) bool {
	data = bytes.TrimLeft(data, " \t\r\n")
	return len(data) > 0 && (data[0] == '{' || data[0] == '[')
}

func (x *inspection) validate(s *jsonschema.Schema) *Refusal {
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
