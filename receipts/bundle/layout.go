package bundle

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// The two entries of a bundle, in order.
const (
	recordsName  = "records.jsonl"
	manifestName = "manifest.json"
)

// maxDirectory bounds what stands behind the entries: a zip directory of two.
const maxDirectory = 1024

// frame is a bundle's bytes but for the compressed data of its entries. They
// follow from the sizes and checksums alone, so that a reader can demand every
// one of them: there is no room for further entries, other names, comments,
// or data in front, between or behind.
type frame struct {
	header []byte // before the records' data
	middle []byte // from there to the manifest's data
	end    []byte // from there to the end of the file
}

// frameOf is the frame that archive/zip writes around entries like these.
func frameOf(records, manifest *zip.FileHeader) (*frame, error) {
	var f frame
	s := &skipper{parts: []*[]byte{&f.header, &f.middle, &f.end}}
	w := zip.NewWriter(s)
	for _, e := range []*zip.FileHeader{records, manifest} {
		h := &zip.FileHeader{
			Name: e.Name, Method: zip.Deflate, Flags: descriptorFollows, CreatorVersion: version20, ReaderVersion: version20,
			CRC32: e.CRC32, CompressedSize64: e.CompressedSize64, UncompressedSize64: e.UncompressedSize64,
		}
		data, err := w.CreateRaw(h)
		if err == nil {
			err = s.skip(w, data, h.CompressedSize64)
		}
		if err != nil {
			return nil, err
		}
		if h.CompressedSize64 >= math.MaxUint32 || h.UncompressedSize64 >= math.MaxUint32 {
			h.ReaderVersion = version45 // the directory says what the header could not know yet
		}
	}
	return &f, w.Close()
}

// What archive/zip writes for an entry whose sizes follow its data (APPNOTE 4.4).
const (
	descriptorFollows = 0x8
	version20         = 20
	version45         = 45 // with ZIP64
)

// skipper keeps what a zip.Writer writes, but for the data of entries.
type skipper struct {
	parts    []*[]byte // that are yet to come
	skipping bool
}

func (s *skipper) Write(p []byte) (int, error) {
	if !s.skipping {
		*s.parts[0] = append(*s.parts[0], p...)
	}
	return len(p), nil
}

// skip lets w count n bytes of data, whatever they are.
func (s *skipper) skip(w *zip.Writer, data io.Writer, n uint64) error {
	if err := w.Flush(); err != nil {
		return err
	}
	s.skipping = true
	anything := make([]byte, min(n, 64<<10))
	for n > 0 {
		part := anything[:min(n, uint64(len(anything)))]
		if _, err := data.Write(part); err != nil {
			return err
		}
		n -= uint64(len(part))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	s.skipping = false
	s.parts = s.parts[1:]
	return nil
}

// layout is where things stand in a bundle whose frame is right.
type layout struct {
	file              io.ReaderAt
	records, manifest zip.FileHeader
	recordsAt         int64 // of the compressed data
	manifestAt        int64
}

// readLayout finds the entries from the end of a file and holds everything
// around them against the one frame that they can have.
func readLayout(file io.ReaderAt, size int64) (*layout, error) {
	records, manifest, err := readDirectory(file, size)
	if err != nil {
		return nil, layoutError("%w", err)
	}
	if records.CompressedSize64 > uint64(size) || manifest.CompressedSize64 > uint64(size) {
		return nil, layoutError("the directory gives sizes larger than the file")
	}
	if manifest.UncompressedSize64 > maxManifest {
		return nil, layoutError("a manifest of %d bytes; it has at most %d", manifest.UncompressedSize64, maxManifest)
	}
	f, err := frameOf(&records, &manifest)
	if err != nil {
		return nil, layoutError("%w", err)
	}
	l := &layout{file: file, records: records, manifest: manifest}
	l.recordsAt = int64(len(f.header))
	middleAt := l.recordsAt + int64(records.CompressedSize64)
	l.manifestAt = middleAt + int64(len(f.middle))
	endAt := l.manifestAt + int64(manifest.CompressedSize64)
	if want := endAt + int64(len(f.end)); want != size {
		return nil, layoutError("the file has %d bytes, but its entries make %d", size, want)
	}
	for at, part := range map[int64][]byte{0: f.header, middleAt: f.middle, endAt: f.end} {
		have := make([]byte, len(part))
		if _, err := file.ReadAt(have, at); err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read the bundle: %w", err)
		}
		if !bytes.Equal(have, part) {
			return nil, layoutError("what stands around the entries, near byte %d, is not what an export writes", at)
		}
	}
	return l, nil
}

// readDirectory reads what the directory at the end says of the two entries.
func readDirectory(file io.ReaderAt, size int64) (records, manifest zip.FileHeader, err error) {
	tail := &tailReader{file: file, from: max(0, size-maxDirectory)}
	if err := tail.check(size); err != nil {
		return records, manifest, err
	}
	z, err := zip.NewReader(tail, size)
	switch {
	case err != nil:
		return records, manifest, fmt.Errorf("not the zip file of a bundle: %w", err)
	case len(z.File) != 2 || z.File[0].Name != recordsName || z.File[1].Name != manifestName:
		return records, manifest, fmt.Errorf("its entries are not %s and %s", recordsName, manifestName)
	}
	return z.File[0].FileHeader, z.File[1].FileHeader, nil
}

// tailReader keeps a directory from being larger than a bundle's.
type tailReader struct {
	file io.ReaderAt
	from int64
}

func (t *tailReader) ReadAt(p []byte, at int64) (int, error) {
	if at < t.from {
		return 0, errors.New("its directory is larger than that of two entries")
	}
	return t.file.ReadAt(p, at)
}

// check looks for the end records where they stand without a comment, so that no
// count of entries is believed that a bundle cannot have (APPNOTE 4.3.14, 4.3.16).
func (t *tailReader) check(size int64) error {
	const end, locator, end64 = 22, 20, 56
	tail := make([]byte, min(size, end+locator+end64))
	if _, err := t.file.ReadAt(tail, size-int64(len(tail))); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if len(tail) == end+locator+end64 {
		last := tail[locator+end64:]
		count := uint64(binary.LittleEndian.Uint16(last[10:]))
		if count == math.MaxUint16 {
			count = binary.LittleEndian.Uint64(tail[32:])
		}
		if bytes.HasPrefix(last, []byte("PK\x05\x06")) && count == 2 {
			return nil
		}
	}
	return errors.New("it does not end as a zip file of two entries does: cut off, added to, or no bundle")
}

func layoutError(format string, args ...any) error {
	return &Error{Part: "layout", Cause: CauseLayout, Err: fmt.Errorf(format, args...)}
}
