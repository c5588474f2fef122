package journal

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/signet-egress/signet/receipts"
)

// An intent is stored as the draft of its receipt: the canonical forms of core and
// detail, a line each, with nothing where the receipt will have its place.

// draftRoom is what most drafts fit into, in bytes.
const draftRoom = 1 << 10

func appendDraft(dst []byte, r *receipts.Receipt) []byte {
	dst = receipts.AppendCore(dst, r)
	return receipts.AppendDetail(append(dst, '\n'), r.Detail)
}

// decodeDraft accepts exactly what appendDraft writes.
func decodeDraft(draft []byte) (*receipts.Receipt, error) {
	core, detail, two := bytes.Cut(draft, []byte{'\n'})
	if !two && json.Valid(draft) {
		return nil, &VersionError{Found: format, Intents: true} // they were one document
	}
	r := &receipts.Receipt{Detail: new(receipts.Detail)}
	if err := errors.Join(json.Unmarshal(core, r), json.Unmarshal(detail, r.Detail)); err != nil {
		return nil, err
	}
	if !bytes.Equal(appendDraft(nil, r), draft) {
		return nil, errors.New("it is not as it was written")
	}
	return r, nil
}

// unknownReceipt is what becomes of an intent that nothing has closed. It has any
// place that is well-formed.
func unknownReceipt(draft []byte, place receipts.Head) (*receipts.Receipt, error) {
	r, err := decodeDraft(draft)
	if err != nil {
		return nil, err
	}
	r.Outcome, r.Usage = receipts.Unknown, receipts.Usage{}
	return r, complete(r, place)
}
