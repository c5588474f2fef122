package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/signet-egress/signet/receipts"
	"github.com/signet-egress/signet/receipts/bundle"
)

// fields writes names and values in two columns.
type fields struct{ w *tabwriter.Writer }

func newFields(w io.Writer) *fields { return &fields{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)} }

func (f *fields) add(name string, value any) {
	_, _ = fmt.Fprintf(f.w, "%s\t%s\n", name, printable(fmt.Sprint(value))) // flush tells
}

func (f *fields) flush() error { return f.w.Flush() }

func showManifest(w io.Writer, m *bundle.Manifest) error {
	f := newFields(w)
	f.add("bundle", m.Type)
	f.add("tenant", m.Tenant)
	f.add("period", stamp(m.Period.From)+" to "+stamp(m.Period.To))
	f.add("chain", m.Chain)
	f.add("records", fmt.Sprintf("%d, seq %d to %d", m.RecordCount, m.First.Seq, m.Last.Seq))
	f.add("receipts", m.ReceiptCount)
	f.add("profile", m.Profile)
	if m.Filter != nil {
		f.add("details of", strings.TrimSpace(prefixed("agent ", m.Filter.Agent)+prefixed(" trace ", m.Filter.Trace)))
	}
	f.add("details withheld", m.DetailsWithheld)
	f.add("checkpoints", len(m.Checkpoints))
	f.add("integrity hash", m.IntegrityHash)
	f.add("last hash", m.Last.ReceiptHash)
	f.add("exported", stamp(m.Created)+" by "+m.Build)
	f.add("signed by", m.KID+", which is not verified here: signet verify")
	return f.flush()
}

func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}

func showRecord(w io.Writer, r receipts.Record) error {
	f := newFields(w)
	h := r.RecordHead()
	switch r := r.(type) {
	case *receipts.Receipt:
		showReceipt(f, r)
	case *receipts.Event:
		f.add("event", eventText(r))
	case *receipts.Genesis:
		f.add("genesis", fmt.Sprintf("tenant %s, agent %s, build %s", r.Tenant, r.Agent, r.Build))
		f.add("policy", r.PolicyVersion)
	}
	f.add("recorded", stamp(h.TS))
	f.add("chain", fmt.Sprintf("%s, seq %d", h.Chain.ID, h.Chain.Seq))
	f.add("hash", h.ReceiptHash+", "+ownHashes(r))
	f.add("signed by", h.KID+", which is not verified here: signet verify")
	return f.flush()
}

// ownHashes says what a record proves without its chain.
func ownHashes(r receipts.Record) string {
	receipt, ok := r.(*receipts.Receipt)
	switch {
	case receipts.Hash(receipts.AppendCore(nil, r)) != r.RecordHead().ReceiptHash:
		return "which is NOT that of the record"
	case ok && receipt.Detail != nil && receipts.DetailDigest(receipt.Detail) != receipt.DetailDigest:
		return "but the detail is NOT the one that it stands for"
	}
	return "which matches"
}

func showReceipt(f *fields, r *receipts.Receipt) {
	f.add("receipt", r.ReceiptID)
	outcome := fmt.Sprintf("%s, %s", r.Outcome, r.Policy.Reason)
	if r.Count > 1 {
		outcome += fmt.Sprintf(", %d times", r.Count)
	}
	f.add("outcome", outcome)
	decided := "denied"
	if r.Policy.Allowed {
		decided = "allowed"
	}
	if r.Policy.Rule != "" {
		decided += " by rule " + r.Policy.Rule
	}
	f.add("policy", fmt.Sprintf("%s, mode %s, %s", decided, r.Policy.Mode, r.Policy.Version))
	if len(r.Policy.Flags) > 0 {
		f.add("flags", strings.Join(r.Policy.Flags, ", "))
	}
	f.add("tenant", r.Tenant)
	f.add("agent", strings.TrimSpace(r.Agent+prefixed(" with API key ", r.APIKey)))
	f.add("trace", fmt.Sprintf("%s, hop %d", r.TraceID, r.Hop))
	f.add("usage", fmt.Sprintf("%d VEX, %d FU", r.Usage.VEX, r.Usage.FU))
	if len(r.SemanticViolations) > 0 {
		f.add("violations", strings.Join(r.SemanticViolations, ", "))
	}
	if r.Ext != nil {
		f.add("ext", string(r.Ext))
	}
	if r.Detail == nil {
		f.add("detail", "withheld")
		return
	}
	showDetail(f, r.Detail)
}

func showDetail(f *fields, d *receipts.Detail) {
	f.add("started", fmt.Sprintf("%s, for %d ms", stamp(d.Started), d.DurationUS/1000))
	for _, part := range []struct {
		name  string
		value any
		there bool
	}{
		{"request", d.Request, d.Request != nil},
		{"dns", d.DNS, d.DNS != nil},
		{"tls", d.TLS, d.TLS != nil},
		{"forwarded", d.Forwarded, d.Forwarded != nil},
		{"payload", d.Payload, d.Payload != nil},
		{"repair", d.Repair, d.Repair != nil},
	} {
		if part.there {
			f.add(part.name, members(part.value))
		}
	}
}

// members lists those of a detail's part as they are named in docs/receipt.md.
func members(part any) string {
	data, err := json.Marshal(part)
	if err != nil {
		return err.Error()
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		return err.Error()
	}
	return listed(all)
}

func listed(all map[string]json.RawMessage) string {
	list := make([]string, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		text := string(all[name])
		if unquoted := ""; json.Unmarshal(all[name], &unquoted) == nil {
			text = unquoted
		}
		list = append(list, name+"="+text)
	}
	return strings.Join(list, " ")
}
