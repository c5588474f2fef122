package journal

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/signet-egress/signet/internal/keyfile"
	"github.com/signet-egress/signet/receipts"
)

// keyed opens the journal in dir with the key that is there, as a sidecar does.
func keyed(t *testing.T, dir string, o Options) (*Journal, *KeyFile) {
	t.Helper()
	key, _, err := LoadKey(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	o.Key, o.Next = key.Key, key.Next
	j := open(t, o)
	if err := key.Settle(j.KeyID()); err != nil {
		t.Fatal(err)
	}
	return j, key
}

func TestRotate(t *testing.T) {
	dir := t.TempDir()
	j, key := keyed(t, dir, options(dir))
	first := key.Key
	finish(t, j, draft("t"))
	change, err := key.Rotate(j, "")
	if err != nil {
		t.Fatal(err)
	}
	if change.KID != kidOf(first) || change.Key.KID != j.KeyID() || key.Key.Equal(first) || key.Next != nil {
		t.Errorf("the event is %+v, and %s signs", change, j.KeyID())
	}
	finish(t, j, forward(begin(t, j, draft("t"))))
	if keys := j.Keys(); len(keys) != 2 || keys[0].ToSeq != change.Chain.Seq || keys[1].FromSeq != change.Chain.Seq+1 {
		t.Errorf("the keys are %+v", keys)
	}
	onDisk, err := keyfile.Ed25519(filepath.Join(dir, keyName), keyfile.Owner)
	if err != nil || !onDisk.Equal(key.Key) {
		t.Errorf("key.pem does not hold the new key: %v", err)
	}
	closeJournal(t, j)

	j, _ = keyed(t, dir, options(dir))
	defer closeJournal(t, j)
	wantKinds(t, verifyWith(t, j, first), "genesis start receipt key_change receipt stop start")
}

// TestRotateCut cuts a rotation after each of its steps, and after a key change
// whose commit failed. The next start must go on, and rotate.
func TestRotateCut(t *testing.T) {
	commitFails := func(persisted bool) func(*testing.T, string, Options) {
		return func(t *testing.T, dir string, o Options) {
			f := new(faults)
			o.hooks.commit = f.commit
			j, key := keyed(t, dir, o)
			f.arm(ioError, persisted, 1)
			if _, err := key.Rotate(j, ""); err == nil {
				t.Error("a rotation that is not durable succeeded")
			}
			// It may be on the disk: nothing may take the staged key away.
			if _, err := key.Rotate(j, ""); err == nil {
				t.Error("a failed journal rotated")
			}
			closeJournal(t, j)
		}
	}
	for _, tt := range []struct {
		name string
		cut  func(t *testing.T, dir string, o Options)
		gone bool // the chain has gone over to the staged key
	}{
		{"before the key has its name", func(t *testing.T, dir string, o Options) {
			j, _ := keyed(t, dir, o)
			if err := os.WriteFile(filepath.Join(dir, ".key.next.pem.123"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			crash(t, j)
		}, false},
		{"when it is staged", func(t *testing.T, dir string, o Options) {
			j, key := keyed(t, dir, o)
			if err := key.stage(); err != nil {
				t.Fatal(err)
			}
			crash(t, j)
		}, false},
		{"when the key change is durable", func(t *testing.T, dir string, o Options) {
			j, key := keyed(t, dir, o)
			if err := key.stage(); err != nil {
				t.Fatal(err)
			}
			if _, err := j.RotateKey(key.Next); err != nil {
				t.Fatal(err)
			}
			crash(t, j)
		}, true},
		{"when it has its place", func(t *testing.T, dir string, o Options) {
			j, key := keyed(t, dir, o)
			if _, err := key.Rotate(j, ""); err != nil {
				t.Fatal(err)
			}
			crash(t, j)
		}, true},
		{"by a commit that failed", commitFails(false), false},
		{"by a commit that failed although persisted", commitFails(true), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			j, key := keyed(t, dir, options(dir))
			first := key.Key
			closeJournal(t, j)
			tt.cut(t, dir, options(dir))

			j, key = keyed(t, dir, options(dir))
			if got := !key.Key.Equal(first); got != tt.gone {
				t.Errorf("gone over to the next key: %t, want %t", got, tt.gone)
			}
			finish(t, j, draft("t"))
			if _, err := key.Rotate(j, ""); err != nil {
				t.Fatal(err)
			}
			finish(t, j, draft("t"))
			closeJournal(t, j)
			j, key = keyed(t, dir, options(dir))
			defer closeJournal(t, j)
			verifyWith(t, j, first)
			if _, err := os.Stat(key.nextPath()); err == nil {
				t.Error("a staged key is left")
			}
		})
	}
}

// TestRotateFullDisk has no room for the key change: the old key goes on.
func TestRotateFullDisk(t *testing.T) {
	dir := t.TempDir()
	o := options(dir)
	f := new(faults)
	o.hooks.commit = f.commit
	j, key := keyed(t, dir, o)
	defer closeJournal(t, j)
	first := key.Key
	f.arm(fullWrite, false, 1)
	_, err := key.Rotate(j, "")
	wantUnavailable(t, err, true)
	resumed(t, j)
	if j.KeyID() != kidOf(first) {
		t.Errorf("%s signs", j.KeyID())
	}
	finish(t, j, draft("t"))
	if _, err := key.Rotate(j, ""); err != nil {
		t.Fatal(err)
	}
	finish(t, j, draft("t"))
	verifyWith(t, j, first)
}

// TestRotateUnderLoad rotates while receipts are written: each is signed by the
// key of its place.
func TestRotateUnderLoad(t *testing.T) {
	dir := t.TempDir()
	j, key := keyed(t, dir, options(dir))
	defer closeJournal(t, j)
	first := key.Key
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 40 {
				r := draft("t")
				if err := j.Begin(r, ""); err != nil {
					t.Error(err)
				}
				if err := j.Finish(forward(r)).Wait(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 5 {
		if _, err := key.Rotate(j, ""); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	if got := len(j.Keys()); got != 6 {
		t.Errorf("%d keys", got)
	}
	verifyWith(t, j, first)
}

func TestRotateRefuses(t *testing.T) {
	dir := t.TempDir()
	j, key := keyed(t, dir, options(dir))
	defer closeJournal(t, j)
	path := filepath.Join(dir, keyName)
	if _, err := key.Rotate(j, path); err == nil || !strings.Contains(err.Error(), "has had the key") {
		t.Errorf("the current key again: %v", err)
	}
	if err := j.Event(&receipts.Event{Event: receipts.EventKeyChange, Key: receipts.NewKeyChange(testKey, j.Head().Chain, j.KeyID())}); err == nil {
		t.Error("a key change passed as any other event")
	}
	if err := os.Rename(path, filepath.Join(dir, "secret.pem")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("secret.pem", path); err != nil {
		t.Fatal(err)
	}
	if _, err := key.Rotate(j, ""); err == nil || !strings.Contains(err.Error(), "secret stores") {
		t.Errorf("a linked key: %v", err)
	}
	other := filepath.Join(dir, "other.pem")
	if _, err := keyfile.MakeEd25519(other); err != nil {
		t.Fatal(err)
	}
	if _, err := key.Rotate(j, other); err != nil {
		t.Errorf("a key of the operator's: %v", err)
	}
}

// TestOpenWithRetiredKey names the key that the chain goes on with.
func TestOpenWithRetiredKey(t *testing.T) {
	dir := t.TempDir()
	j, key := keyed(t, dir, options(dir))
	first := key.Key
	if _, err := key.Rotate(j, ""); err != nil {
		t.Fatal(err)
	}
	kid := j.KeyID()
	closeJournal(t, j)
	o := options(dir)
	o.Key = first
	if _, err := Open(context.Background(), o); err == nil || !strings.Contains(err.Error(), kid) || !strings.Contains(err.Error(), kidOf(first)) {
		t.Errorf("opened with the retired key: %v", err)
	}
	r, err := OpenReader(dir)
	if err != nil {
		t.Fatal(err)
	}
	if keys := r.Keys(); len(keys) != 2 || !slices.ContainsFunc(keys, func(k receipts.ChainKey) bool { return k.KID == kid }) {
		t.Errorf("the keys are %+v", keys)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestCommand opens a journal as a command does.
func TestCommand(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(context.Background(), Options{Dir: dir, Key: testKey, Command: true}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no journal: %v", err)
	}
	closeJournal(t, open(t, options(dir)))
	j := open(t, Options{Dir: dir, Key: testKey, Command: true})
	if err := j.Event(&receipts.Event{Event: receipts.EventPosture, Posture: &receipts.Posture{Name: "mode", Value: "report"}}); err != nil {
		t.Fatal(err)
	}
	closeJournal(t, j)
	j = open(t, options(dir))
	defer closeJournal(t, j)
	wantKinds(t, verify(t, j), "genesis start stop posture stop start")
}

func kidOf(key ed25519.PrivateKey) string { return receipts.KeyID(publicOf(key)) }
