package journal

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"github.com/signet-egress/signet/receipts"
)

// A draft comes back as it was, but for times, of which a receipt keeps the
// milliseconds.
func TestDraft(t *testing.T) {
	r := draft("t")
	r.Policy.Flags, r.Ext = []string{"flag"}, []byte(`{"a":1}`)
	r.Detail.Salt, r.Detail.Started = newSalt(), time.Date(2026, 11, 23, 3, 4, 5, 678e6, time.UTC)
	r.Detail.Payload = &receipts.Payload{Contract: "c", Facts: []receipts.Fact{{Name: "f", ReceiptID: r.ReceiptID}}}
	got, err := decodeDraft(appendDraft(nil, r))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, r) {
		t.Errorf("\n got %s\nwant %s", appendDraft(nil, got), appendDraft(nil, r))
	}
}

// Where no checksum guards a page, a draft guards itself: whatever it lacks, has
// too much, or has in another form, is an error.
func TestDraftsAreExact(t *testing.T) {
	whole := string(appendDraft(nil, draft("t")))
	for name, edit := range map[string][2]string{
		"a member of another name": {`"rule"`, `"rulf"`},
		"a value of another form":  {`"count":1`, `"count":1.0`},
		"another constant":         {`"algo":"sha256"`, `"algo":"sha255"`},
		"no detail":                {whole[bytes.IndexByte([]byte(whole), '\n'):], ""},
		"more behind it":           {"}}\n", "}} \n"},
	} {
		edited := bytes.Replace([]byte(whole), []byte(edit[0]), []byte(edit[1]), 1)
		if string(edited) == whole {
			t.Fatalf("%s: nothing was edited in %s", name, whole)
		}
		if _, err := decodeDraft(edited); err == nil {
			t.Errorf("%s: %s is taken for a draft", name, edited)
		}
	}
}

func FuzzDraft(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeDraft(b)
		if err == nil && !bytes.Equal(appendDraft(nil, r), b) {
			t.Errorf("%q was taken for %q", b, appendDraft(nil, r))
		}
	})
}
