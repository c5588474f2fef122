package bundle

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/signet-egress/signet/receipts"
)

func readDoc(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile("../../docs/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// docs/bundle.md lists each member of the manifest, with its kind and whether it
// is always there, and none more.
func TestManifestIsDocumented(t *testing.T) {
	row := regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| ([a-z ]+) \\| ([^|]+) \\|")
	_, text, ok := strings.Cut(readDoc(t, "bundle.md"), "\n## The manifest\n")
	if !ok {
		t.Fatal("the manual has no section on the manifest")
	}
	sections := strings.Split(text, "\n### ")
	for i, typ := range []any{Manifest{}, Filter{}, Period{}, Link{}, LogProof{}} {
		got := map[string]string{}
		for _, m := range row.FindAllStringSubmatch(sections[i], -1) {
			presence := "always"
			if m[3] != presence {
				presence = "optional"
			}
			got[m[1]] = m[2] + ", " + presence
		}
		want := map[string]string{}
		for f := range reflect.TypeOf(typ).Fields() {
			name, option, _ := strings.Cut(f.Tag.Get("json"), ",")
			presence := "always"
			if option != "" && name != "signature" {
				presence = "optional"
			}
			want[name] = kindOf(f.Type) + ", " + presence
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%T: the manual says %v, the program %v", typ, got, want)
		}
	}
}

func kindOf(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return "time"
	case t.Kind() == reflect.String:
		return "string"
	case t.Kind() == reflect.Int64:
		return "integer"
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.String:
		return "list of strings"
	}
	return "object"
}

// docs/verify.md tells auditors what each cause means.
func TestCausesAreDocumented(t *testing.T) {
	text := readDoc(t, "verify.md")
	for _, c := range []receipts.Cause{
		receipts.CauseForm, receipts.CauseType, receipts.CauseMember, receipts.CauseField, receipts.CauseHash, receipts.CauseDetail,
		receipts.CauseChain, receipts.CauseGap, receipts.CauseOrder, receipts.CauseLink, receipts.CauseKey, receipts.CauseSignature,
		receipts.CauseTime, receipts.CauseReceiptID, receipts.CauseHop, receipts.CauseTruncation, receipts.CauseRewrite, receipts.CauseCheckpoint,
		CauseLayout, CauseIntegrity, CauseFirst, CauseLast, CauseCount, CausePeriod, CauseTenant, CauseProfile, CauseLog,
	} {
		if !strings.Contains(text, "\n| `"+string(c)+"` | ") {
			t.Errorf("docs/verify.md does not explain %q", c)
		}
	}
}
