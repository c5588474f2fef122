package receipts

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// What a core is given at once: enough to make handing over cheap.
const (
	batchRecords = 64
	batchBytes   = 128 << 10
)

// Pipeline adds to a Verifier on all cores. Records are checked in batches, each
// record by itself in any order by the workers, and then against one another in
// order by the sequencer. It is not safe for concurrent use.
type Pipeline struct {
	verifier *Verifier // the sequencer's until Close returns
	current  *batch    // the caller's
	free     chan *batch
	jobs     chan *batch // to the workers
	queue    chan *batch // the same, to the sequencer
	running  sync.WaitGroup
	failed   atomic.Bool // verifier.err is set, and stays
	key      atomic.Pointer[ChainKey]
}

type batch struct {
	buf     []byte
	ends    []int // of each line in buf
	checked []checked
	done    chan struct{} // holds one value once checked is filled
}

// Pipeline starts goroutines that Close stops. Until then the Verifier must not
// be used otherwise. Memory does not grow with the number of records.
func (v *Verifier) Pipeline() *Pipeline {
	workers := runtime.GOMAXPROCS(0)
	batches := 2*workers + 2
	p := &Pipeline{
		verifier: v, free: make(chan *batch, batches), jobs: make(chan *batch, batches), queue: make(chan *batch, batches),
	}
	for range batches {
		p.free <- &batch{done: make(chan struct{}, 1)}
	}
	p.current = <-p.free
	p.key.Store(v.currentKey())
	p.failed.Store(v.err != nil)
	for range workers {
		p.running.Go(p.check)
	}
	p.running.Go(p.follow)
	return p
}

// Add gives the next record to be verified, as Verifier.Add does, but its error,
// which is final, may be that of a record before.
func (p *Pipeline) Add(line []byte) error {
	if p.failed.Load() {
		return p.verifier.err
	}
	b := p.current
	b.buf = append(b.buf, line...)
	b.ends = append(b.ends, len(b.buf))
	if len(b.ends) == batchRecords || len(b.buf) >= batchBytes {
		p.send()
		p.current = <-p.free
	}
	return nil
}

func (p *Pipeline) send() {
	p.jobs <- p.current
	p.queue <- p.current
}

// Close has verified all records when it returns, and tells the error of the
// first bad one.
func (p *Pipeline) Close() error {
	p.send()
	close(p.jobs)
	close(p.queue)
	p.running.Wait()
	return p.verifier.err
}

// check is a worker.
func (p *Pipeline) check() {
	var buf []byte
	for b := range p.jobs {
		start := 0
		for _, end := range b.ends {
			if p.failed.Load() {
				break
			}
			var c checked
			c, buf = check(b.buf[start:end:end], p.key.Load(), buf)
			b.checked = append(b.checked, c)
			start = end
		}
		b.done <- struct{}{}
	}
}

// follow is the sequencer.
func (p *Pipeline) follow() {
	for b := range p.queue {
		<-b.done
		for i := range b.checked {
			if p.failed.Load() {
				break
			}
			if p.verifier.take(&b.checked[i]) != nil {
				p.failed.Store(true)
			}
		}
		if !p.failed.Load() {
			p.key.Store(p.verifier.currentKey())
		}
		clear(b.checked)
		b.buf, b.ends, b.checked = b.buf[:0], b.ends[:0], b.checked[:0]
		p.free <- b
	}
}
