package receipts

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os/exec"
	"strconv"
	"testing"

	"github.com/gowebpki/jcs"
)

var doubles = flag.Int("doubles", 50_000, "how many numbers TestNumbers writes; make canonical takes 10 million")

// kindsOfDoubles are where writers of numbers differ, if they do. Each takes its
// n-th number from r, and a few steps to either side.
var kindsOfDoubles = []struct {
	name string
	draw func(r *rand.Rand) uint64 // bits
}{
	{"random bits", (*rand.Rand).Uint64},
	{"powers of ten", func(r *rand.Rand) uint64 {
		power, err := strconv.ParseFloat("1e"+strconv.Itoa(r.IntN(632)-323), 64)
		if err != nil {
			panic(err)
		}
		return near(r, math.Float64bits(power), 64)
	}},
	{"powers of two", func(r *rand.Rand) uint64 { return near(r, math.Float64bits(math.Ldexp(1, r.IntN(2098)-1074)), 64) }},
	{"subnormals", func(r *rand.Rand) uint64 { return r.Uint64() &^ (0x7ff << 52) }},
	{"neighbours of 2^53", func(r *rand.Rand) uint64 { return near(r, math.Float64bits(1<<53), 1<<20) }},
	{"integers", func(r *rand.Rand) uint64 {
		return near(r, math.Float64bits(math.Trunc(math.Ldexp(r.Float64(), r.IntN(64)))), 1)
	}},
	{"decimals", func(r *rand.Rand) uint64 {
		amount, err := strconv.ParseFloat(fmt.Sprintf("%d.%0*d", r.IntN(1_000_000), r.IntN(8)+1, r.IntN(100)), 64)
		if err != nil {
			panic(err)
		}
		return near(r, math.Float64bits(amount), 2)
	}},
}

// near is a number at most n steps from another, with either sign.
func near(r *rand.Rand, bits uint64, n int64) uint64 {
	return (bits + uint64(r.Int64N(2*n+1)-n)) ^ r.Uint64()&(1<<63)
}

// TestNumbers writes numbers as gowebpki/jcs, which makes and checks the canonical
// form here, and as Node does, whose JSON.stringify is what RFC 8785 section
// 3.2.2.3 points to. Every text must be the same. Where a record can hold the
// number, so must what is written without either.
func TestNumbers(t *testing.T) {
	node := startNode(t)
	r := rand.New(rand.NewPCG(8785, 1))
	checked := map[string]int{}
	for n := 0; n < *doubles; {
		kind := kindsOfDoubles[n%len(kindsOfDoubles)]
		bits := kind.draw(r)
		if number := math.Float64frombits(bits); math.IsInf(number, 0) || math.IsNaN(number) {
			if _, err := jcs.NumberToJSON(number); err == nil {
				t.Fatalf("%016x, which is no number of JSON, was written", bits)
			}
			continue
		}
		node.ask(bits)
		checked[kind.name]++
		n++
	}
	node.finish()
	t.Log(checked)
}

// node answers for numbers with their texts.
type node struct {
	t      *testing.T
	in     *bufio.Writer
	close  func() error
	asked  chan []uint64
	batch  []uint64
	result chan error
}

const (
	nodeBatch  = 4096
	nodeScript = `
let rest = Buffer.alloc(0);
process.stdin.on('data', (chunk) => {
  rest = rest.length ? Buffer.concat([rest, chunk]) : chunk;
  const whole = rest.length - rest.length % 8;
  let out = '';
  for (let i = 0; i < whole; i += 8) out += JSON.stringify(rest.readDoubleLE(i)) + '\n';
  rest = rest.subarray(whole);
  process.stdout.write(out);
});`
)

func startNode(t *testing.T) *node {
	t.Helper()
	path, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is missing (Debian package nodejs)")
	}
	cmd := exec.CommandContext(t.Context(), path, "-e", nodeScript)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, in: bufio.NewWriter(in), close: in.Close, asked: make(chan []uint64, 16), result: make(chan error, 1)}
	go func() {
		err := n.compare(out)
		for range n.asked { // so that who asks is not held up
		}
		_, _ = io.Copy(io.Discard, out) // nor node
		n.result <- errors.Join(err, cmd.Wait())
	}()
	return n
}

func (n *node) ask(bits uint64) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], bits)
	if _, err := n.in.Write(b[:]); err != nil {
		n.t.Fatal(err)
	}
	if n.batch = append(n.batch, bits); len(n.batch) == nodeBatch {
		n.asked <- n.batch
		n.batch = nil
	}
}

func (n *node) finish() {
	n.t.Helper()
	n.asked <- n.batch
	close(n.asked)
	if err := errors.Join(n.in.Flush(), n.close(), <-n.result); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) compare(out io.Reader) error {
	lines := bufio.NewScanner(out)
	for batch := range n.asked {
		for _, bits := range batch {
			if !lines.Scan() {
				return fmt.Errorf("node has no answer for %016x: %w", bits, lines.Err())
			}
			if err := sameNumber(bits, lines.Text()); err != nil {
				return err
			}
		}
	}
	return nil
}

// sameNumber holds a number's text in Node against all others.
func sameNumber(bits uint64, inNode string) error {
	number := math.Float64frombits(bits)
	written, err := jcs.NumberToJSON(number)
	if err != nil {
		return fmt.Errorf("%016x: %w", bits, err)
	}
	if written != inNode {
		return fmt.Errorf("%016x is %s in jcs, %s in node", bits, written, inNode)
	}
	// As it stands in the one member that may hold decimals.
	member := []byte(`{"n":` + inNode + `}`)
	if !isExt(member) {
		return fmt.Errorf("%s is refused", member)
	}
	longer := []byte(`{"n":` + strconv.FormatFloat(number, 'e', 17, 64) + `}`)
	canonical, err := jcs.Transform(longer)
	if err != nil {
		return fmt.Errorf("%s: %w", longer, err)
	}
	if !bytes.Equal(canonical, member) {
		return fmt.Errorf("%s became %s, not %s", longer, canonical, member)
	}
	if isExt(longer) {
		return fmt.Errorf("%s is taken for canonical", longer)
	}
	if number == math.Trunc(number) && math.Abs(number) <= maxInt {
		if own := appendInt([]byte{'{'}, "n", int64(number)); !bytes.Equal(append(own, '}'), member) {
			return fmt.Errorf("a record has %s, not %s", own, member)
		}
	}
	return nil
}

// isExt tells whether a record takes the member.
func isExt(ext []byte) bool {
	var v validation
	v.ext(ext)
	return v.result() == nil
}
