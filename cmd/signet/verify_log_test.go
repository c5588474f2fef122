package main

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/signet-egress/signet/receipts"
	"github.com/signet-egress/signet/receipts/logproof"
)

// testLog is a collector's log as an auditor's mirror has it.
type testLog struct {
	t      *testing.T
	hashes []tlog.Hash
	size   int64
	signer note.Signer
	key    string // verifier key
}

func newTestLog(t *testing.T) *testLog {
	t.Helper()
	private, public, err := note.GenerateKey(rand.Reader, "collector.example/acme")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	return &testLog{t: t, signer: signer, key: public}
}

// ReadHashes implements tlog.HashReader.
func (l *testLog) ReadHashes(indices []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indices))
	for i, index := range indices {
		out[i] = l.hashes[index]
	}
	return out, nil
}

func (l *testLog) take(lines ...[]byte) {
	l.t.Helper()
	for _, line := range lines {
		r, err := receipts.Decode(line)
		if err != nil {
			l.t.Fatal(err)
		}
		leaf, err := logproof.LeafOf(r.RecordHead().ReceiptHash)
		if err != nil {
			l.t.Fatal(err)
		}
		hashes, err := tlog.StoredHashesForRecordHash(l.size, leaf, l)
		if err != nil {
			l.t.Fatal(err)
		}
		l.hashes, l.size = append(l.hashes, hashes...), l.size+1
	}
}

// mirror writes the log into a directory.
func (l *testLog) mirror(dir string) {
	l.t.Helper()
	root, err := tlog.TreeHash(l.size, l)
	if err != nil {
		l.t.Fatal(err)
	}
	text := fmt.Sprintf("collector.example/acme\n%d\n%s\n", l.size, base64.StdEncoding.EncodeToString(root[:]))
	signed, err := note.Sign(&note.Note{Text: text}, l.signer)
	if err != nil {
		l.t.Fatal(err)
	}
	l.write(filepath.Join(dir, "checkpoint"), signed)
	for _, tile := range tlog.NewTiles(logproof.TileHeight, 0, l.size) {
		data, err := tlog.ReadTileData(tile, l)
		if err != nil {
			l.t.Fatal(err)
		}
		l.write(filepath.Join(dir, "tile", logproof.TilePath(tile)), data)
	}
}

func (l *testLog) write(path string, data []byte) {
	l.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		l.t.Fatal(err)
	}
}

// TestVerifyLog says what a collector's log shows, of files, bundles and journals.
func TestVerifyLog(t *testing.T) {
	data := closedJournal(t)
	t.Chdir(t.TempDir())
	e, other := sampleEvidence(), newEvidence(2)
	writeFile(t, "records.jsonl", jsonLines(e.lines))
	writeFile(t, "part.jsonl", jsonLines(e.lines[:6]))

	log := newTestLog(t)
	log.take(other.lines...)
	log.take(e.lines[:6]...)
	log.mirror("early")
	log.take(e.lines[6:]...)
	log.mirror("whole")

	fork := newTestLog(t)
	fork.signer, fork.key = log.signer, log.key
	swapped := slices.Clone(e.lines)
	swapped[2], swapped[3] = swapped[3], swapped[2]
	fork.take(other.lines...)
	fork.take(swapped...)
	fork.mirror("rewritten")
	log.mirror("damaged")
	writeFile(t, fmt.Sprintf("damaged/tile/0/000.p/%d", log.size), make([]byte, log.size*tlog.HashSize))
	if err := os.Mkdir("empty", 0o700); err != nil {
		t.Fatal(err)
	}

	var all strings.Builder
	mask := strings.NewReplacer(log.key, "KEY", newTestLog(t).key, "OTHER", data, "DATA")
	show := func(args ...string) {
		fmt.Fprintf(&all, "$ signet %s\n%s\n", mask.Replace(strings.Join(args, " ")), steady(mask.Replace(signet(t, args...))))
	}
	show("verify", "--log", "whole", "--log-key", log.key, "records.jsonl")
	show("verify", "--log", "whole", "--log-key", log.key, "--json", "records.jsonl")
	show("verify", "--log", "early", "--log-key", log.key, "records.jsonl")
	show("verify", "--log", "early", "--log-key", log.key, "--json", "records.jsonl")
	show("verify", "--log", "early", "--log-key", log.key, "--log-checkpoint", "kept", "part.jsonl")
	show("verify", "--log", "whole", "--log-key", log.key, "--log-checkpoint", "kept", "records.jsonl")
	show("verify", "--log", "early", "--log-key", log.key, "--log-checkpoint", "kept", "part.jsonl")
	show("verify", "--log", "rewritten", "--log-key", log.key, "--log-checkpoint", "kept", "records.jsonl")
	show("verify", "--log", "rewritten", "--log-key", log.key, "--log-checkpoint", "kept", "--json", "records.jsonl")
	show("verify", "--log", "damaged", "--log-key", log.key, "records.jsonl")
	show("verify", "--log", "empty", "--log-key", log.key, "records.jsonl")
	show("verify", "--log", "whole", "--log-key", "KEY", "records.jsonl")
	show("verify", "--log", "whole", "records.jsonl")
	show("verify", "--log-key", log.key, "records.jsonl")
	show("verify", "--log", "https://collector.example", "--log-key", log.key, "records.jsonl")
	show("verify", "--log", "ftp://collector.example", "--log-key", log.key, "records.jsonl")
	show("verify", "--log", "whole", "--log-key", log.key, data)
	t.Chdir(sourceDir)
	golden(t, "records/log", all.String())
}

// A mirror that was made in steps has tiles that are fuller than a checkpoint
// needs.
func TestVerifyLogFullerTile(t *testing.T) {
	t.Chdir(t.TempDir())
	e := sampleEvidence()
	writeFile(t, "records.jsonl", jsonLines(e.lines))
	log := newTestLog(t)
	log.take(e.lines...)
	log.mirror("mirror")
	for log.size < 256 {
		log.take(e.lines[0])
	}
	log.mirror("later")
	if err := os.Rename("later/tile/0/000", "mirror/tile/0/000"); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll("mirror/tile/0/000.p"); err != nil {
		t.Fatal(err)
	}
	if out := signet(t, "verify", "--log", "mirror", "--log-key", log.key, "records.jsonl"); !strings.Contains(out, "log: every record is in it") {
		t.Error(out)
	}
}

// Over the API a record that was forked is told from one that is missing, and a
// budget that is used up is waited for.
func TestVerifyLogOverAPI(t *testing.T) {
	t.Chdir(t.TempDir())
	e := sampleEvidence()
	writeFile(t, "records.jsonl", jsonLines(e.lines))
	writeFile(t, "token", []byte("signet_secret\n"))
	log := newTestLog(t)
	log.take(e.lines[:6]...)
	log.take(newEvidence(2).lines[0])
	log.mirror("mirror")
	files := http.StripPrefix("/v1/log/", http.FileServer(http.Dir("mirror")))
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		switch {
		case r.Header.Get("Authorization") != "Bearer signet_secret":
			http.Error(w, "who?", http.StatusUnauthorized)
		case asked == 2:
			w.Header().Set("Retry-After", "1")
			http.Error(w, "slower", http.StatusTooManyRequests)
		case r.URL.Path == "/v1/log/inclusion":
			fmt.Fprintf(w, `{"receipt_hash": "sha256:%064d"}`, 7)
		default:
			files.ServeHTTP(w, r)
		}
	}))
	defer server.Close()
	out := signet(t, "verify", "--log", server.URL, "--log-key", log.key, "--token-file", "token", "records.jsonl")
	if !strings.Contains(out, "seq 7: log: a fork: the log has another record at this place, whose receipt_hash is sha256:0000") {
		t.Error(out)
	}
	writeFile(t, "token", []byte("signet_other\n"))
	if out := signet(t, "verify", "--log", server.URL, "--log-key", log.key, "--token-file", "token", "records.jsonl"); !strings.Contains(out, "401 Unauthorized: who?") || !strings.HasSuffix(out, "exit status 2\n") {
		t.Error(out)
	}
}
