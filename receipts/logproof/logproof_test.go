package logproof_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/signet-egress/signet/receipts/logproof"
)

const origin = "collector.example/acme"

// grown is a log of records whose hashes are those of their numbers, changed by
// change, with all its tiles.
type grown struct {
	hashes []tlog.Hash
	size   int64
}

func receiptHash(n int64) string {
	sum := sha256.Sum256(fmt.Append(nil, n))
	return "sha256:" + hex.EncodeToString(sum[:])
}

func grow(t *testing.T, size int64, change func(n int64) int64) *grown {
	t.Helper()
	g := &grown{size: size}
	for n := range size {
		leaf, err := logproof.LeafOf(receiptHash(change(n)))
		if err != nil {
			t.Fatal(err)
		}
		hashes, err := tlog.StoredHashesForRecordHash(n, leaf, g)
		if err != nil {
			t.Fatal(err)
		}
		g.hashes = append(g.hashes, hashes...)
	}
	return g
}

func same(n int64) int64 { return n }

// ReadHashes implements tlog.HashReader.
func (g *grown) ReadHashes(indices []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indices))
	for i, index := range indices {
		out[i] = g.hashes[index]
	}
	return out, nil
}

func (g *grown) tree(t *testing.T, size int64) tlog.Tree {
	t.Helper()
	root, err := tlog.TreeHash(size, g)
	if err != nil {
		t.Fatal(err)
	}
	return tlog.Tree{N: size, Hash: root}
}

func (g *grown) tile(path string) ([]byte, error) {
	tile, err := tlog.ParseTilePath("tile/8/" + path)
	if err != nil {
		return nil, err
	}
	return tlog.ReadTileData(tile, g)
}

func TestLog(t *testing.T) {
	for _, size := range []int64{1, 2, 255, 256, 257, 1000, 65536 + 300} {
		g := grow(t, size, same)
		log := logproof.Read(g.tree(t, size), g.tile)
		next := int64(0)
		if err := log.Leaves(func(index int64, leaf tlog.Hash) {
			if want, _ := logproof.LeafOf(receiptHash(next)); index != next || leaf != want {
				t.Fatalf("leaf %d of %d is %s", index, size, leaf)
			}
			next++
		}); err != nil || next != size {
			t.Fatalf("%d of %d leaves, %v", next, size, err)
		}
		for _, old := range []int64{0, 1, size / 2, size - 1, size} {
			if old == 0 {
				continue
			}
			if err := log.Extends(g.tree(t, old)); err != nil {
				t.Errorf("%d extends %d: %v", size, old, err)
			}
		}
	}
}

// A log that was cut, changed or put in another order does not extend what it was.
func TestForks(t *testing.T) {
	const size = 700
	old := grow(t, 600, same).tree(t, 600)
	for name, g := range map[string]*grown{
		"cut":     grow(t, 500, same),
		"changed": grow(t, size, func(n int64) int64 { return map[bool]int64{true: -1, false: n}[n == 300] }),
		"reordered": grow(t, size, func(n int64) int64 {
			return map[int64]int64{10: 11, 11: 10}[n] + map[bool]int64{true: 0, false: n}[n == 10 || n == 11]
		}),
	} {
		err := logproof.Read(g.tree(t, g.size), g.tile).Extends(old)
		if fork := new(logproof.ForkError); !errors.As(err, &fork) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A tile that is not of the checkpoint's tree, or not there, is never believed.
func TestDamagedTiles(t *testing.T) {
	g := grow(t, 700, same)
	tree := g.tree(t, g.size)
	for name, tile := range map[string]func(path string) ([]byte, error){
		"flipped": func(path string) ([]byte, error) {
			data, err := g.tile(path)
			if strings.HasPrefix(path, "0/001") {
				data[40] ^= 1
			}
			return data, err
		},
		"short":  func(path string) ([]byte, error) { data, err := g.tile(path); return data[:len(data)-1], err },
		"absent": func(path string) ([]byte, error) { return nil, errors.New("absent: " + path) },
	} {
		log := logproof.Read(tree, tile)
		if err := log.Leaves(func(int64, tlog.Hash) {}); err == nil {
			t.Errorf("%s: believed", name)
		}
	}
}

func sign(t *testing.T, name, text string) (signed []byte, verifierKey string) {
	t.Helper()
	private, verifierKey, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	if signed, err = note.Sign(&note.Note{Text: text}, signer); err != nil {
		t.Fatal(err)
	}
	return signed, verifierKey
}

func TestOpenCheckpoint(t *testing.T) {
	root := base64.StdEncoding.EncodeToString(make([]byte, 32))
	signed, key := sign(t, origin, origin+"\n7\n"+root+"\n")
	if tree, err := logproof.OpenCheckpoint(signed, key); err != nil || tree.N != 7 {
		t.Errorf("%v, %v", tree, err)
	}
	other, err := note.NewEd25519VerifierKey(origin, make(ed25519.PublicKey, ed25519.PublicKeySize))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"another log":        "collector.example/other\n7\n" + root + "\n",
		"no size":            origin + "\nseven\n" + root + "\n",
		"negative":           origin + "\n-7\n" + root + "\n",
		"leading zero":       origin + "\n07\n" + root + "\n",
		"no root":            origin + "\n7\nroot\n",
		"too few lines":      origin + "\n7\n",
		"another's key":      "",
		"a key that is none": "",
	} {
		signed, key := sign(t, origin, text+map[bool]string{true: origin + "\n7\n" + root + "\n"}[text == ""])
		switch name {
		case "another's key":
			key = other
		case "a key that is none":
			key = "key"
		}
		if tree, err := logproof.OpenCheckpoint(signed, key); err == nil {
			t.Errorf("%s: opened as %v", name, tree)
		}
	}
}

func TestLeafOf(t *testing.T) {
	for _, hash := range []string{"", "sha256:", "sha256:00", strings.Repeat("0", 64), "md5:" + strings.Repeat("0", 64), "sha256:" + strings.Repeat("0", 65)} {
		if _, err := logproof.LeafOf(hash); err == nil {
			t.Errorf("%q is taken for a receipt_hash", hash)
		}
	}
}
