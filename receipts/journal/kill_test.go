package journal

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/signet-egress/signet/receipts"
)

var rounds = flag.Int("journal.rounds", 5, "how often TestKill kills its child; make torture has 1000")

const childEnv = "SIGNET_TEST_JOURNAL"

func childDir() string { return os.Getenv(childEnv) }

// appendUntilKilled is the child of TestKill. It says on stdout what has been
// acknowledged: "B id" for an intent, "F id" for a receipt; and "D old new"
// before it begins the intent new that dissolves old.
func appendUntilKilled(dir string) {
	j, err := Open(context.Background(), killOptions(dir))
	if err != nil {
		fmt.Println("E", err)
		os.Exit(1)
	}
	fmt.Println("opened")
	var wg sync.WaitGroup
	for w := range 32 {
		wg.Go(func() {
			previous := ""
			for i := 0; ; i++ {
				r := draft(fmt.Sprintf("trace-%d", w%7))
				dissolve := ""
				if i%5 == 1 {
					dissolve = previous
					fmt.Print("D ", dissolve, " ", r.ReceiptID, "\n")
				}
				if err := j.Begin(r, dissolve); err != nil {
					fmt.Println("E", err)
				}
				fmt.Print("B ", r.ReceiptID, "\n")
				if i%5 == 0 { // left open, and dissolved by the next
					previous = r.ReceiptID
					continue
				}
				if err := j.Finish(forward(r)).Wait(); err != nil {
					fmt.Println("E", err)
				}
				fmt.Print("F ", r.ReceiptID, "\n")
			}
		})
	}
	wg.Wait()
}

// killOptions have the child seal all the time, and prune what the parent has
// acknowledged.
func killOptions(dir string) Options {
	o := options(dir)
	o.Limits = Limits{SealSize: 64 << 10, RetentionSize: 256 << 10, Shipped: true}
	return o
}

// TestKill kills a process that appends with many goroutines, again and again,
// and holds what its journal then says against what it has acknowledged.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	c := &growing{v: receipts.NewVerifier(nil), next: 1, receipts: make(map[string]*receipts.Receipt)}
	begun, finished, dissolvedBy := make(map[string]bool), make(map[string]bool), make(map[string]string)
	for round := range *rounds {
		killAfter(t, dir, 1+rand.IntN(2000), func(ack, id string) {
			switch ack {
			case "B":
				begun[id] = true
			case "F":
				finished[id] = true
			case "D":
				old, by, _ := strings.Cut(id, " ")
				dissolvedBy[old] = by
			case "E":
				t.Errorf("the child says: %s", id)
			}
		})
		j := open(t, killOptions(dir))
		c.read(t, j)
		if head := j.Head(); round%2 == 1 { // what was read may be pruned
			if err := j.SetAcked(t.Context(), ackOf(head.Chain, head.Seq, head.Hash)); err != nil {
				t.Fatal(err)
			}
		}
		crash(t, j)
		for id := range finished {
			if r := c.receipts[id]; r == nil || r.Outcome != receipts.Forwarded {
				t.Fatalf("round %d: the acknowledged receipt %s is %+v", round, id, r)
			}
		}
		for id := range begun {
			by, maybe := dissolvedBy[id] // if that intent came to be
			switch r := c.receipts[id]; {
			case !maybe && r == nil:
				t.Fatalf("round %d: the acknowledged intent %s left no receipt", round, id)
			case begun[by] && r != nil:
				t.Fatalf("round %d: the dissolved intent %s is %+v", round, id, r)
			}
		}
		if t.Failed() {
			t.FailNow()
		}
		if round%50 == 0 || round == *rounds-1 {
			t.Logf("round %d: %d intents, %d receipts acknowledged; seq %d", round, c.begun+len(begun), c.finished+len(finished), c.next-1)
		}
		// All of it is on record, and looked at; the intents of a round end with it.
		c.begun, c.finished = c.begun+len(begun), c.finished+len(finished)
		clear(begun)
		clear(finished)
		clear(dissolvedBy)
		clear(c.receipts)
	}
	if j := open(t, options(dir)); j.First() == 1 && *rounds > 4 {
		t.Error("nothing was pruned")
	} else {
		wantFrom(t, j, j.First())
		closeJournal(t, j)
	}
}

// growing is a chain that is verified as it grows, over all rounds.
type growing struct {
	v               *receipts.Verifier
	next            int64
	receipts        map[string]*receipts.Receipt // of the round
	begun, finished int
}

func (c *growing) read(t *testing.T, j *Journal) {
	t.Helper()
	err := j.Range(t.Context(), c.next, func(seq int64, line []byte) error {
		if err := c.v.Add(line); err != nil {
			return err
		}
		rec, err := receipts.Decode(line)
		if r, ok := rec.(*receipts.Receipt); ok {
			c.receipts[r.ReceiptID] = r
		}
		c.next = seq + 1
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// killAfter runs the child until it has acknowledged n operations. Those that
// it still gets out until it is dead count too.
func killAfter(t *testing.T, dir string, n int, ack func(what, id string)) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), exe, "-test.run=^$")
	child.Env = append(os.Environ(), childEnv+"="+dir)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	for i := 0; ; i++ {
		line, err := lines.ReadString('\n')
		if err != nil {
			break // a line cut short was not said
		}
		what, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		ack(what, rest)
		if i == n {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := child.Wait(); err == nil {
		t.Fatal("the child ended by itself")
	}
}
