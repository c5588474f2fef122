package bundle

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/flate"

	"github.com/signet-egress/signet/receipts"
)

func readerAt(data []byte) io.ReaderAt { return bytes.NewReader(data) }

// zipEntry is one entry of a zip file that only looks like a bundle.
type zipEntry struct {
	header zip.FileHeader
	data   []byte
}

func zipOf(t *testing.T, comment string, entries ...zipEntry) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := range entries {
		h := entries[i].header
		w, err := z.CreateHeader(&h)
		if err == nil {
			_, err = w.Write(entries[i].data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.SetComment(comment); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Whatever else a zip file can be made to be, both verifiers refuse it.
func TestEveryLayout(t *testing.T) {
	c := sampleChain(t)
	good := bundleOf(t, c.options(), c.lines)
	records, manifest := jsonLines(c.lines), manifestOf(t, c.options(), c.lines)
	r := zipEntry{zip.FileHeader{Name: recordsName, Method: zip.Deflate}, records}
	m := zipEntry{zip.FileHeader{Name: manifestName, Method: zip.Deflate}, manifest}
	named := func(e zipEntry, name string) zipEntry { e.header.Name = name; return e }
	with := func(e zipEntry, change func(*zip.FileHeader)) zipEntry { change(&e.header); return e }
	flip := func(at int) []byte {
		data := bytes.Clone(good)
		data[at] ^= 1
		return data
	}
	l, err := readLayout(readerAt(good), int64(len(good)))
	if err != nil {
		t.Fatal(err)
	}
	recordsEnd := int(l.recordsAt) + int(l.records.CompressedSize64)
	directory := bytes.LastIndex(good, []byte("PK\x01\x02"))
	insert := func(at int, text string) []byte { return slicesConcat(good[:at], []byte(text), good[at:]) }
	tests := []struct {
		name string
		data []byte
	}{
		{"the good one", good},
		{"the same of another program", zipOf(t, "", r, m)},
		{"a byte behind", append(bytes.Clone(good), 0)},
		{"a whole zip behind", slicesConcat(good, good)},
		{"bytes between the entries", insert(recordsEnd, "x")},
		{"bytes before the directory", insert(directory, "x")},
		{"cut off by one", good[:len(good)-1]},
		{"cut off before the directory", good[:directory]},
		{"only the end record", good[len(good)-22:]},
		{"four bytes", good[:4]},
		{"a comment", zipOf(t, "x", r, m)},
		{"a third entry", zipOf(t, "", r, m, named(m, "notes.txt"))},
		{"records twice", zipOf(t, "", r, r, m)},
		{"two entries of one name", zipOf(t, "", r, named(m, recordsName))},
		{"no manifest", zipOf(t, "", r)},
		{"the manifest first", zipOf(t, "", m, r)},
		{"a path up", zipOf(t, "", named(r, "../"+recordsName), m)},
		{"an absolute path", zipOf(t, "", named(r, "/"+recordsName), m)},
		{"a back slash", zipOf(t, "", named(r, `a\`+recordsName), m)},
		{"other case", zipOf(t, "", named(r, "Records.jsonl"), m)},
		{"stored", zipOf(t, "", with(r, func(h *zip.FileHeader) { h.Method = zip.Store }), m)},
		{"an extra field", zipOf(t, "", with(r, func(h *zip.FileHeader) { h.Extra = []byte{1, 0, 0, 0} }), m)},
		{"a comment of an entry", zipOf(t, "", with(r, func(h *zip.FileHeader) { h.Comment = "x" }), m)},
		{"permissions", zipOf(t, "", with(r, func(h *zip.FileHeader) { h.SetMode(0o777) }), m)},
		{"another name in the local header", flip(30)},
		{"encrypted, says the local header", flip(6)},
		{"another method in the local header", flip(8)},
		{"another checksum in the descriptor", flip(recordsEnd + 4)},
		{"another size in the descriptor", flip(recordsEnd + 12)},
		{"another checksum in the directory", flip(directory + 16)},
		{"another size in the directory", flip(directory + 24)},
		{"another offset in the directory", flip(directory + 42)},
		{"data that is not deflated", flip(int(l.recordsAt))},
		{"inside: a bit flipped", flip(int(l.recordsAt) + 200)},
		{"records that end early", framed(t, records[:len(records)/2], records, manifest, "")},
		{"inside: records that go on", framed(t, append(bytes.Clone(records), records...), records, manifest, "")},
		{"data behind the deflated records", framed(t, records, records, manifest, "PK\x03\x04")},
		{"a bomb of a manifest", zipOf(t, "", r, zipEntry{m.header, bytes.Repeat([]byte(" "), maxManifest+1)})},
	}
	in := &inputs{t: t, dir: t.TempDir()}
	for _, tt := range tests {
		// JSON lines is what a file without a zip's first bytes is taken for.
		if !IsBundle(tt.data[:MagicLen]) {
			continue
		}
		v := in.bundle(tt.data, keySet(t, c.keys...))
		good := tt.name == "the good one" || tt.name == "the same of another program"
		inside := strings.HasPrefix(tt.name, "inside: ") // a record may show it first
		if v.Verified != good || !good && !inside && v.Cause != CauseLayout {
			t.Errorf("%s: %v", tt.name, v)
		}
	}
	in.agree(receipts.JWKS(c.keys...))
}

// framed is a bundle whose frame says claimed of the records, although they are
// data, with more behind.
func framed(t *testing.T, data, claimed, manifest []byte, behind string) []byte {
	t.Helper()
	deflated := append(deflate(t, data), behind...)
	first := zip.FileHeader{Name: recordsName, CRC32: crc32.ChecksumIEEE(claimed), CompressedSize64: uint64(len(deflated)), UncompressedSize64: uint64(len(claimed))}
	small := deflate(t, manifest)
	second := zip.FileHeader{Name: manifestName, CRC32: crc32.ChecksumIEEE(manifest), CompressedSize64: uint64(len(small)), UncompressedSize64: uint64(len(manifest))}
	f, err := frameOf(&first, &second)
	if err != nil {
		t.Fatal(err)
	}
	return slicesConcat(f.header, deflated, f.middle, small, f.end)
}

func deflate(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestSpeed)
	if err == nil {
		_, err = w.Write(data)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// sparse is a huge file that is zero but for what stands somewhere in it.
type sparse struct {
	size  int64
	parts map[int64][]byte
}

func (s *sparse) ReadAt(p []byte, at int64) (int, error) {
	clear(p)
	for start, part := range s.parts {
		for i := range part {
			if n := start + int64(i) - at; n >= 0 && n < int64(len(p)) {
				p[n] = part[i]
			}
		}
	}
	if at+int64(len(p)) > s.size {
		return int(s.size - at), io.EOF
	}
	return len(p), nil
}

// A bundle of more than 4 GiB is laid out in ZIP64, and found again.
func TestLayoutOfHugeBundles(t *testing.T) {
	for _, compressed := range []uint64{1 << 20, 5 << 30} {
		records := zip.FileHeader{Name: recordsName, CRC32: 1, CompressedSize64: compressed, UncompressedSize64: 20 << 30}
		manifest := zip.FileHeader{Name: manifestName, CRC32: 2, CompressedSize64: 100, UncompressedSize64: 200}
		f, err := frameOf(&records, &manifest)
		if err != nil {
			t.Fatal(err)
		}
		middleAt := int64(len(f.header)) + int64(compressed)
		endAt := middleAt + int64(len(f.middle)) + 100
		file := &sparse{size: endAt + int64(len(f.end)), parts: map[int64][]byte{0: f.header, middleAt: f.middle, endAt: f.end}}
		l, err := readLayout(file, file.size)
		if err != nil || l.records.UncompressedSize64 != 20<<30 || l.manifestAt != endAt-100 {
			t.Errorf("%+v, %v", l, err)
		}
		binary.LittleEndian.PutUint16(f.end[len(f.end)-14:], 3) // entries on this disk
		if _, err := readLayout(file, file.size); err == nil {
			t.Error("another number of entries was taken")
		}
	}
}

func slicesConcat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// No byte around the compressed data can be another.
func TestEveryByteOfTheFrame(t *testing.T) {
	c := newChain(1)
	good := bundleOf(t, c.options(), c.lines)
	l, err := readLayout(readerAt(good), int64(len(good)))
	if err != nil {
		t.Fatal(err)
	}
	inRecords := func(at int64) bool { return at >= l.recordsAt && at < l.recordsAt+int64(l.records.CompressedSize64) }
	inManifest := func(at int64) bool { return at >= l.manifestAt && at < l.manifestAt+int64(l.manifest.CompressedSize64) }
	for at := range good {
		if inRecords(int64(at)) || inManifest(int64(at)) {
			continue
		}
		for bit := range 8 {
			data := bytes.Clone(good)
			data[at] ^= 1 << bit
			if _, err := readLayout(readerAt(data), int64(len(data))); err == nil {
				t.Errorf("bit %d of byte %d can be another", bit, at)
			}
		}
	}
}
