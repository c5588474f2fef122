package bundle

import (
	"archive/zip"
	"bufio"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/flate"
)

// entry reads one entry and demands that it is what the frame says: as many
// bytes, compressed and not, with this checksum, and nothing behind the end of
// the compressed data.
type entry struct {
	name       string
	compressed *bufio.Reader
	data       io.ReadCloser
	sum        hash.Hash32
	read, size uint64
	crc        uint32
}

func newEntry(file io.ReaderAt, at int64, h *zip.FileHeader) *entry {
	compressed := bufio.NewReaderSize(io.NewSectionReader(file, at, int64(h.CompressedSize64)), 64<<10)
	return &entry{
		name: h.Name, compressed: compressed, data: flate.NewReader(compressed), // which reads no byte too many from an io.ByteReader
		sum: crc32.NewIEEE(), size: h.UncompressedSize64, crc: h.CRC32,
	}
}

func (e *entry) Read(p []byte) (int, error) {
	n, err := e.data.Read(p)
	e.sum.Write(p[:n])
	e.read += uint64(n)
	switch {
	case e.read > e.size:
		return n, layoutError("%s is larger than the %d bytes that it is said to have", e.name, e.size)
	case errors.Is(err, io.EOF):
		return n, e.end()
	case err != nil:
		return n, layoutError("%s cannot be inflated: %w", e.name, err)
	}
	return n, nil
}

// end is io.EOF where all is as it should be.
func (e *entry) end() error {
	switch _, err := e.compressed.ReadByte(); {
	case err == nil:
		return layoutError("there is data behind the end of %s", e.name)
	case !errors.Is(err, io.EOF):
		return fmt.Errorf("read the bundle: %w", err)
	case e.read != e.size:
		return layoutError("%s has %d bytes, not the %d that it is said to have", e.name, e.read, e.size)
	case e.sum.Sum32() != e.crc:
		return layoutError("%s is damaged: its checksum differs", e.name)
	}
	return io.EOF
}

func (l *layout) readManifest() ([]byte, error) {
	return io.ReadAll(newEntry(l.file, l.manifestAt, &l.manifest))
}

func (l *layout) readRecords() io.Reader { return newEntry(l.file, l.recordsAt, &l.records) }
