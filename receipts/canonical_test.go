package receipts

import (
	"bytes"
	"encoding/json"
	"math"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gowebpki/jcs"
	"pgregory.net/rapid"
)

// drawText draws what an agent could send: any bytes, also no UTF-8 at all.
func drawText(t *rapid.T, name string) string {
	return rapid.OneOf(
		rapid.String(),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
		rapid.SampledFrom([]string{"", "\u2028", "\"\\/\b\f\n\r\t\x00\x1f\x7f", "\xff", "\xed\xa0\x80", "\U0001F600", "\uFEFF", "é"}),
	).Draw(t, name)
}

func drawNonEmpty(t *rapid.T, name string) string { return "x" + drawText(t, name) }

func drawTexts(t *rapid.T, name string) []string {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string { return drawNonEmpty(t, name) }), 0, 3).Draw(t, name)
}

func drawInt(t *rapid.T, name string, least int64) int64 {
	return rapid.OneOf(rapid.Int64Range(least, maxInt), rapid.SampledFrom([]int64{least, maxInt})).Draw(t, name)
}

func drawSize(t *rapid.T, name string) *int64 {
	n := drawInt(t, name, 0)
	return rapid.SampledFrom([]*int64{nil, &n}).Draw(t, name)
}

func drawDigest(t *rapid.T, name string) string {
	return Hash(rapid.SliceOfN(rapid.Byte(), 1, 4).Draw(t, name))
}

func drawUUID(t *rapid.T, name string) string { return uuid(rapid.IntRange(0, 1<<40).Draw(t, name)) }

func drawTime(t *rapid.T, name string) time.Time {
	const end = 253402300799 // of the year 9999
	zone := time.FixedZone("", rapid.IntRange(-12*3600, 12*3600).Draw(t, name))
	return time.Unix(rapid.Int64Range(0, end).Draw(t, name), rapid.Int64Range(0, 999_999_999).Draw(t, name)).In(zone)
}

// maybe draws a part of a record, or nil.
func maybe[T any](t *rapid.T, name string, draw func() T) *T {
	if !rapid.Bool().Draw(t, name) {
		return nil
	}
	v := draw()
	return &v
}

func drawHead(t *rapid.T) Head {
	return Head{
		Chain: Chain{ID: drawUUID(t, "chain"), Seq: drawInt(t, "seq", 2), Prev: drawDigest(t, "prev")},
		TS:    drawTime(t, "ts"), KID: KeyID(public(testKey(1))),
	}
}

func drawRecord(t *rapid.T) Record {
	switch rapid.IntRange(0, 3).Draw(t, "type") {
	case 0:
		h := drawHead(t)
		h.Chain.Seq, h.Chain.Prev = 1, ""
		return &Genesis{
			Head: h, Tenant: drawNonEmpty(t, "tenant"), Agent: drawText(t, "agent"), Build: drawNonEmpty(t, "build"),
			PublicKey: EncodeKey(public(testKey(1))), PolicyVersion: drawDigest(t, "policy_version"),
		}
	case 1:
		return drawEvent(t)
	default:
		return drawReceipt(t)
	}
}

func drawEvent(t *rapid.T) *Event {
	e := &Event{Head: drawHead(t), Event: rapid.SampledFrom([]EventKind{
		EventStart, EventStop, EventGap, EventKeyChange, EventClockStep, EventPosture,
	}).Draw(t, "event")}
	switch e.Event {
	case EventStart:
		e.Build, e.PolicyVersion = drawNonEmpty(t, "build"), drawDigest(t, "policy_version")
	case EventGap:
		e.Gap = &Gap{Unknown: drawInt(t, "unknown", 0)}
		if rapid.Bool().Draw(t, "lost") {
			e.Gap.Lost = &Lost{Cause: rapid.SampledFrom([]LossCause{LossDamage, LossRollback}).Draw(t, "cause")}
			if last := e.Chain.Seq - 1; rapid.Bool().Draw(t, "known") {
				e.Gap.Lost.First, e.Gap.Lost.Last = rapid.Int64Range(1, last).Draw(t, "first"), last
			}
		}
	case EventKeyChange:
		e.Key = NewKeyChange(testKey(2), e.Chain.ID, e.KID)
	case EventClockStep:
		e.Clock = &ClockStep{StepMS: drawInt(t, "step_ms", -maxInt)}
	case EventPosture:
		e.Posture = &Posture{Name: drawNonEmpty(t, "name"), Value: drawText(t, "value")}
	}
	return e
}

func drawReceipt(t *rapid.T) *Receipt {
	r := &Receipt{
		Head: drawHead(t), ReceiptID: drawUUID(t, "receipt_id"),
		TraceID: rapid.StringMatching(`[!-~]{1,128}`).Draw(t, "trace_id"), Hop: drawInt(t, "hop", 2), PrevReceiptHash: drawDigest(t, "prev_receipt_hash"),
		Tenant: drawNonEmpty(t, "tenant"), Agent: drawText(t, "agent"), APIKey: drawText(t, "api_key"),
		Outcome: rapid.SampledFrom([]Outcome{Forwarded, Denied, Failed, Unknown}).Draw(t, "outcome"),
		Policy: Policy{
			Allowed: rapid.Bool().Draw(t, "allowed"), Reason: rapid.StringMatching(`[A-Za-z0-9_]{1,64}`).Draw(t, "reason"), Rule: drawText(t, "rule"),
			Mode: rapid.SampledFrom([]string{"enforce", "report"}).Draw(t, "mode"), Version: drawDigest(t, "version"), Flags: drawTexts(t, "flags"),
		},
		Usage: Usage{VEX: drawInt(t, "vex", 0), FU: drawInt(t, "fu", 0)}, FallbackUsed: rapid.Bool().Draw(t, "fallback_used"),
		FUTokens: drawInt(t, "fu_tokens", 0), SemanticViolations: drawTexts(t, "semantic_violations"), Count: drawInt(t, "count", 1),
		Internal:     rapid.SampledFrom([]string{"", "model", "collector"}).Draw(t, "internal"),
		DetailDigest: drawDigest(t, "detail_digest"), Detail: maybe(t, "detail", func() Detail { return drawDetail(t) }),
	}
	if rapid.Bool().Draw(t, "first hop") {
		r.Hop, r.PrevReceiptHash = 1, ""
	}
	if rapid.Bool().Draw(t, "ext") {
		r.Ext = drawExt(t)
	}
	return r
}

func drawExt(t *rapid.T) json.RawMessage {
	object := rapid.MapOf(rapid.String(), rapid.OneOf(
		rapid.Map(rapid.String(), func(s string) any { return s }),
		rapid.Map(rapid.Int64Range(-maxInt, maxInt), func(n int64) any { return n }),
		rapid.Map(rapid.Float64Range(-math.MaxFloat64, math.MaxFloat64), func(f float64) any { return f }),
	)).Draw(t, "ext")
	data, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	ext, err := jcs.Transform(data)
	if err != nil {
		t.Fatal(err)
	}
	return ext
}

func drawDetail(t *rapid.T) Detail {
	d := Detail{
		Salt: strict.EncodeToString(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "salt")), Started: drawTime(t, "started"), DurationUS: drawInt(t, "duration_us", 0),
		Request: maybe(t, "request", func() Request {
			return Request{
				Protocol: rapid.SampledFrom([]string{"h1", "h2"}).Draw(t, "protocol"), Method: drawNonEmpty(t, "method"), Scheme: drawText(t, "scheme"),
				Host: drawNonEmpty(t, "host"), Port: rapid.Int64Range(1, 65535).Draw(t, "port"), Path: drawText(t, "path"), Size: drawSize(t, "size"),
			}
		}),
		DNS: maybe(t, "dns", func() DNS {
			return DNS{
				Resolver: drawNonEmpty(t, "resolver"), Answers: rapid.SliceOf(rapid.SampledFrom([]string{"192.0.2.1", "2001:db8::1"})).Draw(t, "answers"),
				CNAME: drawTexts(t, "cname"), TTL: drawInt(t, "ttl", 0), Rebound: rapid.Bool().Draw(t, "rebound"),
			}
		}),
		TLS: maybe(t, "tls", func() TLS {
			return TLS{
				Mode: rapid.SampledFrom([]string{"intercept", "tunnel", "none"}).Draw(t, "mode"), SNI: drawText(t, "sni"), ECH: rapid.Bool().Draw(t, "ech"),
				Version: rapid.SampledFrom([]string{"", "1.2", "1.3"}).Draw(t, "version"), ALPN: drawText(t, "alpn"), PeerSPKI: rapid.SampledFrom([]string{"", Hash(nil)}).Draw(t, "peer_spki"),
			}
		}),
		Forwarded: maybe(t, "forwarded", func() ForwardedTo {
			f := ForwardedTo{
				PinnedIP: rapid.SampledFrom([]string{"192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"}).Draw(t, "pinned_ip"), Port: rapid.Int64Range(1, 65535).Draw(t, "port"),
				StatusCode: maybe(t, "status_code", func() int64 { return rapid.Int64Range(100, 999).Draw(t, "status_code") }), ResponseSize: drawSize(t, "response_size"),
				BytesUp: drawSize(t, "bytes_up"), BytesDown: drawSize(t, "bytes_down"),
			}
			if f.ResponseSize != nil {
				f.ResponseDigest = drawDigest(t, "response_digest")
			}
			return f
		}),
		Payload: maybe(t, "payload", func() Payload {
			return Payload{
				Contract: drawNonEmpty(t, "contract"), PayloadType: drawText(t, "payload_type"), TargetType: drawText(t, "target_type"), CID: rapid.SampledFrom([]string{"", Hash(nil)}).Draw(t, "cid"),
				Facts: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Fact { return Fact{drawNonEmpty(t, "name"), drawUUID(t, "receipt_id")} }), 0, 3).Draw(t, "facts"),
			}
		}),
		Repair: maybe(t, "repair", func() Repair {
			return Repair{
				Method: rapid.SampledFrom([]string{"local", "model"}).Draw(t, "method"), Before: drawDigest(t, "before"), After: drawDigest(t, "after"), Model: drawText(t, "model"),
				Edits: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Edit {
					return Edit{drawNonEmpty(t, "op"), drawText(t, "path"), drawInt(t, "offset", 0)}
				}), 0, 3).Draw(t, "edits"),
			}
		}),
	}
	if d.Request != nil && d.Request.Size != nil {
		d.Request.Digest = drawDigest(t, "digest")
	}
	return d
}

// What a writer seals is canonical, and is read back by the strict reader.
func writtenIsReadBack(t *rapid.T) {
	r := drawRecord(t)
	if err := Validate(r); err != nil {
		t.Fatalf("not valid: %v", err)
	}
	core := AppendCore(nil, r)
	r.RecordHead().ReceiptHash = Hash(core)
	r.RecordHead().Signature = Sign(testKey(1), r.RecordType(), core)
	line := Append(nil, r)
	for name, text := range map[string][]byte{"core": core, "line": line} {
		if canonical, err := jcs.Transform(text); err != nil || !bytes.Equal(canonical, text) {
			t.Fatalf("the %s is not canonical: %v\n%s\n%s", name, err, text, canonical)
		}
	}
	back, err := Decode(line)
	if err != nil {
		t.Fatalf("%v\n%s", err, line)
	}
	if again := Append(nil, back); !bytes.Equal(again, line) {
		t.Fatalf("read back as another record:\n%s\n%s", line, again)
	}
	if receipt, ok := r.(*Receipt); ok && receipt.Detail != nil {
		same, _ := back.(*Receipt)
		if DetailDigest(receipt.Detail) != DetailDigest(same.Detail) {
			t.Fatal("the detail has another digest when it is read back")
		}
	}
}

func TestWrittenIsReadBack(t *testing.T) { rapid.Check(t, writtenIsReadBack) }

func FuzzWrittenIsReadBack(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(writtenIsReadBack))
}

func FuzzString(f *testing.F) {
	for _, s := range []string{"", "plain", "\"\\/\b\f\n\r\t\x00\x1f\x7f", "\u2028\u2029", "\xff\xfe", "a\xed\xa0\x80b", "\U0001F600"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := appendString(nil, s)
		if canonical, err := jcs.Transform(got); err != nil || !bytes.Equal(canonical, got) {
			t.Fatalf("%q became %s, which is not canonical (%s, %v)", s, got, canonical, err)
		}
		var back string
		if err := json.Unmarshal(got, &back); err != nil {
			t.Fatal(err)
		}
		if want := string([]rune(s)); back != want { // U+FFFD for each bad byte
			t.Fatalf("%q came back as %q", s, back)
		}
		if utf8.ValidString(s) && back != s {
			t.Fatalf("%q came back as %q", s, back)
		}
	})
}

func TestString(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", `""`},
		{"/v1/chat?<>&'", `"/v1/chat?<>&'"`},
		{"\"\\", `"\"\\"`},
		{"\b\t\n\f\r", `"\b\t\n\f\r"`},
		{"\x00\x0b\x1f", `"\u0000\u000b\u001f"`},
		{"\x7f\u0080\u2028é\U0001F600", "\"\x7f\u0080\u2028é\U0001F600\""},
		{"a\xffb\xed\xa0\x80", "\"a\uFFFDb\uFFFD\uFFFD\uFFFD\""},
	}
	for _, tt := range tests {
		if got := string(appendString(nil, tt.in)); got != tt.want {
			t.Errorf("%q: got %s, want %s", tt.in, got, tt.want)
		}
	}
}

func TestTime(t *testing.T) {
	zone := time.FixedZone("", 3600)
	at := time.Date(2026, 11, 23, 4, 4, 5, 678_999_999, zone)
	if got, want := string(appendTime([]byte{'{'}, "ts", at)), `{"ts":"2026-11-23T03:04:05.678Z"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAppendCoreAllocatesNothing(t *testing.T) {
	r := exchange(1, "trace")
	dst := make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() { dst = Append(AppendCore(dst[:0], r), r) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
