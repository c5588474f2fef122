package receipts

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/gowebpki/jcs"
)

// chainKey is a key without bounds.
func chainKey(n byte) ChainKey { return ChainKey{PublicKey: public(testKey(n))} }

func TestJWKS(t *testing.T) {
	doc := JWKS(chainKey(1), chainKey(2))
	if canonical, err := jcs.Transform(doc); err != nil || !bytes.Equal(canonical, doc) {
		t.Errorf("not canonical: %v: %s", err, doc)
	}
	set, err := ParseJWKS(doc)
	if err != nil || len(set.byKID) != 2 {
		t.Fatalf("%v, %v", set, err)
	}
	if pub := set.Key(KeyID(public(testKey(2)))); !pub.Equal(public(testKey(2))) {
		t.Errorf("the second key is %v", pub)
	}
}

func TestParseJWKS(t *testing.T) {
	x := EncodeKey(public(testKey(1)))
	good := `{"crv":"Ed25519","kty":"OKP","x":"` + x + `"}`
	bounded := func(validity string) string {
		return `{"crv":"Ed25519","kty":"OKP","validity":[` + validity + `],"x":"` + x + `"}`
	}
	tests := []struct{ name, doc, says string }{ // says "" for a good set
		{"no kid", `{"keys":[` + good + `]}`, ""},
		{"other keys and members beside it", `{"keys":[{"kty":"RSA","n":"AQAB"},` + good + `],"issued":1}`, ""},
		{"no JSON", `-----BEGIN`, "read a JWKS"},
		{"no keys", `{"keys":[]}`, "no Ed25519 key"},
		{"a bare key", good, "no Ed25519 key"},
		{"only other keys", `{"keys":[{"kty":"OKP","crv":"X25519","x":"` + x + `"}]}`, "no Ed25519 key"},
		{"a private key", `{"keys":[{"crv":"Ed25519","d":"","kty":"OKP","x":"` + x + `"}]}`, "keys[0] is a private key"},
		{"another kid", `{"keys":[{"crv":"Ed25519","kid":"k1","kty":"OKP","x":"` + x + `"}]}`, "keys[0].kid"},
		{"a weak key", `{"keys":[{"crv":"Ed25519","kty":"OKP","x":"` + strings.Repeat("A", 43) + `"}]}`, "small order"},
		{"a short key", `{"keys":[{"crv":"Ed25519","kty":"OKP","x":"AA"}]}`, "keys[0].x"},
		{"a validity", `{"keys":[` + bounded(`{"chain":"`+testChain+`","from":"2026-11-23T03:04:05.678Z","from_seq":1}`) + `]}`, ""},
		{"an empty validity", `{"keys":[` + bounded(``) + `]}`, "keys[0].validity is empty"},
		{"no chain", `{"keys":[` + bounded(`{"from":"2026-11-23T03:04:05.678Z","from_seq":1}`) + `]}`, "keys[0].validity[0].chain"},
		{"no beginning", `{"keys":[` + bounded(`{"chain":"`+testChain+`","from":"2026-11-23T03:04:05.678Z"}`) + `]}`, "keys[0].validity[0].from_seq"},
		{"an end before the beginning", `{"keys":[` + bounded(`{"chain":"`+testChain+`","from":"2026-11-23T03:04:05.678Z","from_seq":9,"to_seq":8}`) + `]}`, "keys[0].validity[0].to_seq"},
		{"two documents", `{"keys":[` + good + `]}{}`, "read a JWKS"},
	}
	for _, tt := range tests {
		_, err := ParseJWKS([]byte(tt.doc))
		if tt.says == "" && err != nil || tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.says)
		}
	}
}

// A key of several sets may sign what any of them says, and no set is changed.
func TestUnion(t *testing.T) {
	begin := time.Date(2026, 11, 23, 3, 4, 5, 0, time.UTC)
	first, second := chainKey(1), chainKey(1)
	first.Validity = Validity{Chain: testChain, FromSeq: 1, ToSeq: 4, From: begin}
	second.Validity = Validity{Chain: testChain, FromSeq: 9, From: begin}
	parse := func(keys ...ChainKey) *KeySet {
		set, err := ParseJWKS(JWKS(keys...))
		if err != nil {
			t.Fatal(err)
		}
		return set
	}
	one, two, unbounded, other := parse(first), parse(second), parse(chainKey(1)), parse(chainKey(2))
	if keys := Union(one, two, other).Keys(); len(keys) != 3 {
		t.Errorf("two validities and another key are %v", keys)
	}
	for _, set := range []*KeySet{Union(one, unbounded), Union(unbounded, one)} {
		if keys := set.Keys(); len(keys) != 1 || keys[0].Validity != (Validity{}) {
			t.Errorf("a key with bounds and without is %v", keys)
		}
	}
	if keys := one.Keys(); len(keys) != 1 || keys[0].ToSeq != 4 {
		t.Errorf("a set became %v", keys)
	}
}

func FuzzParseJWKS(f *testing.F) {
	f.Add(JWKS(chainKey(1)))
	f.Add([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"` + strings.Repeat("A", 43) + `"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		set, err := ParseJWKS(data)
		if err != nil {
			return
		}
		for kid, k := range set.byKID {
			if kid != KeyID(k.pub) || checkKey(k.pub) != nil {
				t.Fatalf("taken: %s %x", kid, k.pub)
			}
			for i := range k.valid {
				if err := k.valid[i].check(); err != nil {
					t.Fatalf("taken: %s: %v", kid, err)
				}
			}
		}
	})
}
