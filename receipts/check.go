package receipts

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
)

// checked is a record and what could be found of it without those before.
type checked struct {
	record    Record
	failed    *VerifyError      // with the seq that the line claims
	key       ed25519.PublicKey // that the signature was checked with; nil if it was not
	signature error
}

// check examines one line: its form, its hash, its detail's digest and, where it
// is signed with the key that is expected, its signature. buf is scratch space,
// which is returned.
func check(line []byte, expected *ChainKey, buf []byte) (checked, []byte) {
	r, buf, err := decode(line, buf[:0])
	if err != nil {
		return checked{failed: &VerifyError{Seq: claimedSeq(line, err), Cause: CauseOf(err), Err: err}}, buf
	}
	c := checked{record: r}
	buf = AppendCore(buf[:0], r)
	for _, check := range []func(Record, []byte) (Cause, error){checkHash, checkDetail} {
		if cause, err := check(r, buf); err != nil {
			c.failed = &VerifyError{Seq: r.RecordHead().Chain.Seq, Cause: cause, Err: err}
			return c, buf
		}
	}
	if expected != nil && r.RecordHead().KID == expected.KID {
		c.checkSignature(expected, buf)
	}
	return c, buf
}

// CheckHashes tells whether a record has the hash that it states, and its detail,
// where it is there, the digest. That it is signed, a Verifier finds, and so does
// who follows the links to a record whose signature is known to be good.
func CheckHashes(r Record) error {
	core := AppendCore(nil, r)
	for _, check := range []func(Record, []byte) (Cause, error){checkHash, checkDetail} {
		if _, err := check(r, core); err != nil {
			return err
		}
	}
	return nil
}

func (c *checked) checkSignature(key *ChainKey, core []byte) {
	c.key = key.PublicKey
	c.signature = VerifySignature(key.PublicKey, c.record.RecordType(), core, c.record.RecordHead().Signature)
}

func checkHash(r Record, core []byte) (Cause, error) {
	if want := Hash(core); r.RecordHead().ReceiptHash != want {
		return CauseHash, fmt.Errorf("receipt_hash is %s, but the record hashes to %s", r.RecordHead().ReceiptHash, want)
	}
	return "", nil
}

func checkDetail(r Record, _ []byte) (Cause, error) {
	receipt, ok := r.(*Receipt)
	if !ok || receipt.Detail == nil {
		return "", nil
	}
	if want := DetailDigest(receipt.Detail); receipt.DetailDigest != want {
		return CauseDetail, fmt.Errorf("detail_digest is %s, but the detail hashes to %s", receipt.DetailDigest, want)
	}
	return "", nil
}

// claimedSeq is the seq that a line in canonical form gives itself, although it
// is no record; 1 if it gives none.
func claimedSeq(line []byte, err error) int64 {
	if CauseOf(err) == CauseForm {
		return 1
	}
	var claim struct {
		Chain map[string]json.RawMessage `json:"chain"`
	}
	var seq int64
	if errors.Join(json.Unmarshal(line, &claim), json.Unmarshal(claim.Chain["seq"], &seq)) != nil || seq > maxInt {
		return 1
	}
	return max(seq, 1)
}
