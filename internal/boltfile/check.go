// Package boltfile looks into bbolt's files before bbolt does.
package boltfile

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"slices"
)

// bbolt trusts its file: when it opens a damaged one it panics in goroutines of
// its own, where nothing can contain it, or follows an offset out of the
// mapping. So the tree is walked before bbolt sees it: every reachable page must
// be of a known kind, inside the file, reached once, hold its elements within
// itself, and have its keys in order and within what its parent says.
//
// The layout is bbolt's data file format, version 2, in the byte order of the
// machine.

const (
	boltMagic   = 0xED0CDAED
	boltVersion = 2

	pageHeaderSize   = 16 // id 8, flags 2, count 2, overflow 4
	metaSize         = 64 // after the header; the last 8 are the checksum
	elementSize      = 16
	bucketHeaderSize = 16 // root page 8, sequence 8

	branchPage = 0x01
	leafPage   = 0x02

	bucketElement = 0x01
	noFreelist    = ^uint64(0)

	maxPageDepth = 64
)

var order = binary.NativeEndian

// pageWalk is one walk over a file.
type pageWalk struct {
	f        *os.File
	pageSize int64
	pages    uint64 // high-water mark: ids are below it
	seen     []bool
	bufs     [maxPageDepth + 2][]byte // the page under way on each level

	each  func(key, value []byte) // nil: the first error ends the walk
	first error                   // that was passed over, for each
}

// Check is nil for a file that bbolt can open and read without a panic.
func Check(f *os.File) error {
	m, err := readMeta(f)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if m.pages > uint64(info.Size()/m.pageSize) {
		return fmt.Errorf("cut off: %d bytes of at least %d", info.Size(), int64(m.pages)*m.pageSize)
	}
	if m.freelist != noFreelist {
		return errors.New("it holds a free list, which Signet never writes")
	}
	w := &pageWalk{f: f, pageSize: m.pageSize, pages: m.pages, seen: make([]bool, m.pages)}
	return w.page(m.root, 0, span{})
}

// boltMeta is what a meta page says.
type boltMeta struct {
	pageSize              int64
	root, freelist, pages uint64
	txid                  uint64
}

// readMeta finds the newest valid meta page. The first is at offset 0, the
// second one page later, and only a valid one tells the page size.
func readMeta(f *os.File) (boltMeta, error) {
	var newest boltMeta
	found := false
	for _, off := range metaOffsets() {
		m, ok := metaAt(f, off)
		if ok && (off == 0 || off == m.pageSize) && (!found || m.txid > newest.txid) {
			newest, found = m, true
		}
	}
	if !found {
		return boltMeta{}, errors.New("no valid meta page: not a bbolt file, or its beginning is overwritten")
	}
	return newest, nil
}

func metaOffsets() []int64 {
	offsets := []int64{0}
	for shift := 10; shift <= 24; shift++ {
		offsets = append(offsets, 1<<shift)
	}
	return offsets
}

func metaAt(f *os.File, off int64) (boltMeta, bool) {
	var b [metaSize]byte
	if _, err := f.ReadAt(b[:], off+pageHeaderSize); err != nil {
		return boltMeta{}, false
	}
	sum := fnv.New64a()
	_, _ = sum.Write(b[:56]) // never fails
	m := boltMeta{
		pageSize: int64(order.Uint32(b[8:])),
		root:     order.Uint64(b[16:]),
		freelist: order.Uint64(b[32:]),
		pages:    order.Uint64(b[40:]),
		txid:     order.Uint64(b[48:]),
	}
	valid := order.Uint32(b[0:]) == boltMagic && order.Uint32(b[4:]) == boltVersion && order.Uint64(b[56:]) == sum.Sum64() &&
		m.pageSize >= 1<<10 && m.pageSize <= 1<<24 && m.pageSize&(m.pageSize-1) == 0
	return m, valid
}

// span is where keys lie: from least on, and before end. nil is no bound.
type span struct{ least, end []byte }

func (s span) holds(key []byte) bool {
	return bytes.Compare(key, s.least) >= 0 && (s.end == nil || bytes.Compare(key, s.end) < 0)
}

// page checks the page id and all below it.
func (w *pageWalk) page(id uint64, depth int, keys span) error {
	if depth > maxPageDepth {
		return fmt.Errorf("page %d: deeper than %d levels", id, maxPageDepth)
	}
	body, flags, err := w.read(id, depth)
	if err != nil {
		return err
	}
	if err := w.elements(body, flags, depth, keys); err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	return nil
}

// read returns the whole page, overflow included, and marks it as seen.
func (w *pageWalk) read(id uint64, depth int) (body []byte, flags uint16, err error) {
	if id < 2 || id >= w.pages {
		return nil, 0, fmt.Errorf("page %d: not in the file of %d pages", id, w.pages)
	}
	var head [pageHeaderSize]byte
	if _, err := w.f.ReadAt(head[:], int64(id)*w.pageSize); err != nil {
		return nil, 0, fmt.Errorf("page %d: %w", id, cutOff(err))
	}
	own, flags, overflow := order.Uint64(head[0:]), order.Uint16(head[8:]), uint64(order.Uint32(head[12:]))
	if own != id {
		return nil, 0, fmt.Errorf("page %d: it says that it is page %d", id, own)
	}
	if overflow >= w.pages-id {
		return nil, 0, fmt.Errorf("page %d: its %d further pages are not in the file of %d pages", id, overflow, w.pages)
	}
	for i := id; i <= id+overflow; i++ {
		if w.seen[i] {
			return nil, 0, fmt.Errorf("page %d: used twice", i)
		}
		w.seen[i] = true
	}
	size := int(overflow+1) * int(w.pageSize)
	w.bufs[depth] = slices.Grow(w.bufs[depth][:0], size)[:size]
	body = w.bufs[depth]
	if _, err := w.f.ReadAt(body, int64(id)*w.pageSize); err != nil {
		return nil, 0, fmt.Errorf("page %d: %w", id, cutOff(err))
	}
	return body, flags, nil
}

func cutOff(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("cut off")
	}
	return err
}

// elements checks what a page holds. body begins with the page's header.
func (w *pageWalk) elements(body []byte, flags uint16, depth int, keys span) error {
	count := int(order.Uint16(body[10:]))
	if pageHeaderSize+count*elementSize > len(body) {
		return fmt.Errorf("%d elements do not fit", count)
	}
	switch {
	case flags == branchPage && count > 0:
		return w.branch(body, count, depth, keys)
	case flags == leafPage:
		return w.leaf(body, count, depth, keys)
	}
	return fmt.Errorf("neither branch nor leaf (flags %#x, %d elements)", flags, count)
}

// branch checks its elements, each of which is pos 4, key size 4, page 8, and
// then what is below them.
func (w *pageWalk) branch(body []byte, count, depth int, keys span) error {
	key := func(i int) []byte {
		at := pageHeaderSize + i*elementSize
		return within(body, at, order.Uint32(body[at:]), order.Uint32(body[at+4:]))
	}
	if err := inOrder(count, key, keys); err != nil {
		return err
	}
	for i := range count {
		below := span{least: key(i), end: keys.end}
		if i+1 < count {
			below.end = key(i + 1)
		}
		err := w.page(order.Uint64(body[pageHeaderSize+i*elementSize+8:]), depth+1, below)
		if err != nil && w.each == nil {
			return err
		}
		w.first = cmp.Or(w.first, err)
	}
	return nil
}

// leaf checks its elements, each of which is flags 4, pos 4, key size 4, value
// size 4.
func (w *pageWalk) leaf(body []byte, count, depth int, keys span) error {
	key := func(i int) []byte {
		at := pageHeaderSize + i*elementSize
		return within(body, at, order.Uint32(body[at+4:]), order.Uint32(body[at+8:]))
	}
	if err := inOrder(count, key, keys); err != nil {
		return err
	}
	for i := range count {
		at := pageHeaderSize + i*elementSize
		flags, size := order.Uint32(body[at:]), order.Uint32(body[at+12:])
		value := within(body, at, order.Uint32(body[at+4:])+order.Uint32(body[at+8:]), size)
		switch {
		case value == nil:
			return fmt.Errorf("value %d is not in the page", i)
		case flags == 0 && w.each != nil:
			w.each(key(i), value)
		case flags == 0:
		case flags == bucketElement:
			if err := w.bucket(value, depth); err != nil {
				return fmt.Errorf("bucket %d: %w", i, err)
			}
		default:
			return fmt.Errorf("element %d: unknown flags %#x", i, flags)
		}
	}
	return nil
}

// within is the part of a page that an element points to, nil if it is not in
// the page. pos counts from the element.
func within(body []byte, at int, pos, size uint32) []byte {
	from := int64(at) + int64(pos)
	if from+int64(size) > int64(len(body)) {
		return nil
	}
	return body[from : from+int64(size)]
}

func inOrder(count int, key func(int) []byte, keys span) error {
	var before []byte
	for i := range count {
		k := key(i)
		if len(k) == 0 {
			return fmt.Errorf("key %d is empty, or not in the page", i)
		}
		if !keys.holds(k) || bytes.Compare(before, k) >= 0 {
			return fmt.Errorf("key %d is not in order", i)
		}
		before = k
	}
	return nil
}

// bucket checks a bucket: a root page, or a small leaf page within the element.
func (w *pageWalk) bucket(value []byte, depth int) error {
	if len(value) < bucketHeaderSize {
		return errors.New("cut off")
	}
	if root := order.Uint64(value); root != 0 {
		return w.page(root, depth+1, span{})
	}
	inline := value[bucketHeaderSize:]
	if len(inline) < pageHeaderSize {
		return errors.New("cut off")
	}
	if flags := order.Uint16(inline[8:]); flags != leafPage || depth > maxPageDepth {
		return fmt.Errorf("an inline page that is no leaf (flags %#x)", flags)
	}
	return w.elements(inline, leafPage, depth+1, span{})
}
