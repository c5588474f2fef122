package boltfile

import (
	"bytes"
	"errors"
	"fmt"
	"os"
)

// Bucket calls fn with the keys and values of one top-level bucket of a file that
// may be damaged. Pages that are not what they should be are left out, with what
// is below them; the error is that of the first. key and value are valid until
// fn returns.
func Bucket(f *os.File, name string, fn func(key, value []byte)) error {
	m, err := readMeta(f)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	pages := min(m.pages, uint64(info.Size()/m.pageSize)) // it may be cut off
	w := &pageWalk{f: f, pageSize: m.pageSize, pages: pages, seen: make([]bool, pages), each: fn}
	body, flags, err := w.read(m.root, 0)
	if err != nil {
		return err
	}
	if flags != leafPage {
		return fmt.Errorf("page %d: the root is no leaf", m.root)
	}
	var bucket []byte
	eachElement(body, func(flags uint32, key, value []byte) {
		if flags == bucketElement && string(key) == name {
			bucket = bytes.Clone(value)
		}
	})
	if bucket == nil {
		return fmt.Errorf("page %d: bucket %s is missing", m.root, name)
	}
	if err := w.bucket(bucket, 0); err != nil {
		return err
	}
	return w.first
}

// Scan calls fn with every key and value that a leaf page anywhere in the file
// seems to hold, whether the page is in use or not: those of a damaged file, what
// was deleted, what was never committed. Whoever calls it must be able to tell.
// key and value are valid until fn returns.
func Scan(f *os.File, fn func(key, value []byte)) error {
	pageSize := int64(os.Getpagesize())
	if m, err := readMeta(f); err == nil {
		pageSize = m.pageSize
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	pages := uint64(info.Size() / pageSize)
	each := func(flags uint32, key, value []byte) {
		switch {
		case flags == 0:
			fn(key, value)
		case flags == bucketElement && len(value) >= bucketHeaderSize+pageHeaderSize && order.Uint64(value) == 0:
			eachElement(value[bucketHeaderSize:], func(flags uint32, key, value []byte) {
				if flags == 0 {
					fn(key, value)
				}
			})
		}
	}
	for id := uint64(2); id < pages; id++ {
		w := &pageWalk{f: f, pageSize: pageSize, pages: pages, seen: make([]bool, 0)}
		body, flags, err := w.readLoose(id)
		if err == nil && flags == leafPage {
			eachElement(body, each)
		}
	}
	return nil
}

// maxSpan is the longest run of pages that Scan takes for one: that of a record
// of 1 MiB.
const maxSpan = 300

// readLoose is read without its account of what was seen.
func (w *pageWalk) readLoose(id uint64) (body []byte, flags uint16, err error) {
	var head [pageHeaderSize]byte
	if _, err := w.f.ReadAt(head[:], int64(id)*w.pageSize); err != nil {
		return nil, 0, err
	}
	overflow := uint64(order.Uint32(head[12:]))
	if order.Uint64(head[0:]) != id || overflow > maxSpan || overflow >= w.pages-id {
		return nil, 0, errors.New("no page")
	}
	body = make([]byte, int64(overflow+1)*w.pageSize)
	_, err = w.f.ReadAt(body, int64(id)*w.pageSize)
	return body, order.Uint16(head[8:]), err
}

// eachElement calls fn with the elements of a leaf page that are within it.
func eachElement(body []byte, fn func(flags uint32, key, value []byte)) {
	count := int(order.Uint16(body[10:]))
	for i := range count {
		at := pageHeaderSize + i*elementSize
		if at+elementSize > len(body) {
			return
		}
		pos, keySize, size := order.Uint32(body[at+4:]), order.Uint32(body[at+8:]), order.Uint32(body[at+12:])
		key, value := within(body, at, pos, keySize), within(body, at, pos+keySize, size)
		if len(key) > 0 && value != nil {
			fn(order.Uint32(body[at:]), key, value)
		}
	}
}
