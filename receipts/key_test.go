package receipts

import (
	"crypto/ed25519"
	"encoding/hex"
	"math/big"
	"slices"
	"strings"
	"testing"
)

// RFC 8037 appendix A.3 has the thumbprint of the key of its example.
func TestKeyID(t *testing.T) {
	const x, want = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
	pub, err := DecodeKey(x)
	if err != nil {
		t.Fatal(err)
	}
	if got := KeyID(pub); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if EncodeKey(pub) != x {
		t.Errorf("encoded as %s", EncodeKey(pub))
	}
}

func TestDecodeKeyRefuses(t *testing.T) {
	good := EncodeKey(public(testKey(1)))
	p := mustBig(fieldPrime)
	tests := map[string]string{
		"empty":          "",
		"31 bytes":       strict.EncodeToString(make([]byte, 31)),
		"33 bytes":       strict.EncodeToString(make([]byte, 33)),
		"padded":         good + "=",
		"line break":     good[:42] + "\n",
		"standard":       strings.Repeat("+", 42) + "A",
		"trailing bits":  good[:42] + "B",
		"y = p":          littleEndian(p, 0),
		"y = p+1":        littleEndian(new(big.Int).Add(p, big.NewInt(1)), 0),
		"y = 2^255-1":    littleEndian(new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(1)), 0),
		"y = 1, x is -0": littleEndian(big.NewInt(1), 0x80),
	}
	for name, s := range tests {
		if _, err := DecodeKey(s); err == nil {
			t.Errorf("%s: %q was taken", name, s)
		}
	}
}

// The list of small orders, computed: adding a point of the curve
// -x²+y² = 1+dx²y² to itself three times must give the neutral point (0, 1).
func TestSmallOrder(t *testing.T) {
	p := mustBig(fieldPrime)
	mod := func(n *big.Int) *big.Int { return n.Mod(n, p) }
	mul := func(a, b *big.Int) *big.Int { return mod(new(big.Int).Mul(a, b)) }
	one := big.NewInt(1)
	d := mul(big.NewInt(-121665), new(big.Int).ModInverse(big.NewInt(121666), p))

	for _, h := range smallOrder {
		y := mustBig(h)
		y2 := mul(y, y)
		x2 := mul(new(big.Int).Sub(y2, one), new(big.Int).ModInverse(mod(new(big.Int).Add(mul(d, y2), one)), p))
		x := new(big.Int).ModSqrt(x2, p)
		if x == nil {
			t.Fatalf("%s is no point of the curve", h)
		}
		for range 3 {
			k := mul(d, mul(mul(x, x), mul(y, y)))
			x3 := mul(mod(new(big.Int).Add(mul(x, y), mul(x, y))), new(big.Int).ModInverse(mod(new(big.Int).Add(one, k)), p))
			y3 := mul(mod(new(big.Int).Add(mul(y, y), mul(x, x))), new(big.Int).ModInverse(mod(new(big.Int).Sub(one, k)), p))
			x, y = x3, y3
		}
		if x.Sign() != 0 || y.Cmp(one) != 0 {
			t.Errorf("%s is not of small order", h)
		}
		for _, sign := range []byte{0, 0x80} {
			if _, err := DecodeKey(littleEndian(mustBig(h), sign)); err == nil {
				t.Errorf("%s with sign %#x was taken", h, sign)
			}
		}
	}
}

// weakKeys are the fourteen encodings of points of small order that RFC 8032
// decoders have been found to take, the last six of them not canonical
// (eprint.iacr.org/2020/1244, table 1 and section 4).
var weakKeys = []string{
	"0100000000000000000000000000000000000000000000000000000000000000",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"0000000000000000000000000000000000000000000000000000000000000080",
	"0000000000000000000000000000000000000000000000000000000000000000",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
	"0100000000000000000000000000000000000000000000000000000000000080",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
}

// A key that makes signatures worthless is refused wherever a key comes in.
func TestWeakKeysAreRefusedEverywhere(t *testing.T) {
	for _, h := range weakKeys {
		pub, err := hex.DecodeString(h)
		if err != nil {
			t.Fatal(err)
		}
		x := EncodeKey(pub)
		if _, err := DecodeKey(x); err == nil {
			t.Errorf("%s was taken", h)
		}
		if _, err := ParseJWKS(JWKS(ChainKey{PublicKey: pub})); err == nil {
			t.Errorf("%s was taken in a JWKS", h)
		}
		c := newChain(testKey(1))
		genesis, err := Decode(c.lines[0])
		if err != nil {
			t.Fatal(err)
		}
		g, _ := genesis.(*Genesis)
		g.PublicKey, g.KID = x, KeyID(pub)
		c.seal(g)
		_, err = verifyLines(nil, [][]byte{Append(nil, g)})
		wantCause(t, err, 1, CauseField)

		change := &KeyChange{KID: KeyID(pub), PublicKey: x, Proof: strict.EncodeToString(append(make([]byte, 63), 1))}
		c.add(&Event{Event: EventKeyChange, Key: change})
		_, err = verifyLines(nil, c.lines)
		wantCause(t, err, 2, CauseKey)
	}
}

func TestSignature(t *testing.T) {
	key, core := testKey(1), []byte(`{}`)
	pub := public(key)
	sig := Sign(key, TypeReceipt, core)
	if err := verify(pub, string(TypeReceipt), core, sig); err != nil {
		t.Fatal(err)
	}
	raw, err := strict.DecodeString(sig)
	if err != nil || !ed25519.Verify(pub, []byte("signet.receipt/1\n{}"), raw) {
		t.Error("the signature is not over the type, a newline and the core")
	}
	// S + L is the same scalar in another encoding.
	s := slices.Clone(raw[32:])
	slices.Reverse(s)
	l := mustBig("1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed")
	malleable := new(big.Int).Add(new(big.Int).SetBytes(s), l).FillBytes(make([]byte, 32))
	slices.Reverse(malleable)
	for name, bad := range map[string]error{
		"short key":        verify(pub[:31], string(TypeReceipt), core, sig),
		"no key":           verify(nil, string(TypeReceipt), core, sig),
		"short signature":  verify(pub, string(TypeReceipt), core, sig[:85]),
		"line break":       verify(pub, string(TypeReceipt), core, sig[:85]+"\n"),
		"another type":     verify(pub, string(TypeEvent), core, sig),
		"another core":     verify(pub, string(TypeReceipt), []byte(`{ }`), sig),
		"another key":      verify(public(testKey(2)), string(TypeReceipt), core, sig),
		"another encoding": verify(pub, string(TypeReceipt), core, strict.EncodeToString(append(slices.Clone(raw[:32]), malleable...))),
	} {
		if bad == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestKeyChange(t *testing.T) {
	prev := KeyID(public(testKey(1)))
	change := NewKeyChange(testKey(2), testChain, prev)
	pub, err := change.check(testChain, prev)
	if err != nil || !pub.Equal(public(testKey(2))) {
		t.Fatalf("%v, %v", pub, err)
	}
	another := *change
	another.KID = KeyID(public(testKey(3)))
	weak := *change
	weak.PublicKey = EncodeKey(make([]byte, 32))
	for name, check := range map[string]func() (ed25519.PublicKey, error){
		"another chain":      func() (ed25519.PublicKey, error) { return change.check(uuid(2), prev) },
		"another key before": func() (ed25519.PublicKey, error) { return change.check(testChain, KeyID(public(testKey(3)))) },
		"another kid":        func() (ed25519.PublicKey, error) { return another.check(testChain, prev) },
		"a weak key":         func() (ed25519.PublicKey, error) { return weak.check(testChain, prev) },
		"itself": func() (ed25519.PublicKey, error) {
			return NewKeyChange(testKey(1), testChain, prev).check(testChain, prev)
		},
	} {
		if _, err := check(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func mustBig(s string) *big.Int {
	n, ok := new(big.Int).SetString(s, 16)
	if !ok {
		panic("not hex: " + s)
	}
	return n
}

// littleEndian encodes a point by its y and the top bit.
func littleEndian(y *big.Int, sign byte) string {
	b := y.FillBytes(make([]byte, 32))
	slices.Reverse(b)
	b[31] |= sign
	return strict.EncodeToString(b)
}
