package web

import (
	"encoding/hex"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/signet-egress/signet/internal/collector/merkle"
	"github.com/signet-egress/signet/receipts/logproof"
)

// Measures of the picture of a proof, in pixels.
const (
	treeWidth = 380
	treeRow   = 52 // from one level to the next
	nodeWide  = 150
	nodeHigh  = 30
	leftAt    = 10
	rightAt   = treeWidth - nodeWide - leftAt
)

// tree is how a record's leaf leads to the root of the log (RFC 6962, section
// 2.1.1), the root at the top. Below it each level has two nodes: the one that is
// on the way, which is computed, and its sibling, which the proof tells.
type tree struct {
	Width, Height int64
	Nodes         []node
	Edges         []edge
}

// node is a box with the beginning of a hash. Its class is leaf, way, sibling or
// root.
type node struct {
	X, Y, W, H int64
	Class      string
	Text       string
	Label      string // what it is, where the class does not say
}

// edge leads from a node up to the one that is computed from it.
type edge struct {
	X1, Y1, X2, Y2 int64
	Class          string // way or sibling
}

// drawTree draws the proof of the record with a hash. That the proof is good is for
// others to say: this draws where it leads.
func drawTree(p *merkle.Proof, receiptHash string) (t tree, root tlog.Hash, err error) {
	leaf, err := logproof.LeafOf(receiptHash)
	if err != nil {
		return tree{}, root, err
	}
	levels, root, err := climb(p.Index, p.Size, leaf, p.Hashes)
	if err != nil {
		return tree{}, root, err
	}
	t = tree{Width: treeWidth, Height: int64(len(levels)+1)*treeRow - (treeRow - nodeHigh) + 2}
	top := node{X: (treeWidth - nodeWide) / 2, Y: 1, Class: "root", Text: begin(root), Label: "the root"}
	t.add(top)
	for i := len(levels) - 1; i >= 0; i-- {
		way := node{X: leftAt, Y: top.Y + treeRow, Class: "way", Text: begin(levels[i].way)}
		sibling := node{X: rightAt, Y: way.Y, Class: "sibling", Text: begin(levels[i].sibling)}
		if levels[i].left {
			way.X, sibling.X = sibling.X, way.X
		}
		if i == 0 {
			way.Class, way.Label = "leaf", "this record"
		}
		t.below(&top, &sibling, "sibling")
		t.below(&top, &way, "way")
		top = way
	}
	return t, root, nil
}

func (t *tree) below(parent, child *node, class string) {
	t.add(*child)
	t.Edges = append(t.Edges, edge{child.X + nodeWide/2, child.Y, parent.X + nodeWide/2, parent.Y + nodeHigh, class})
}

func (t *tree) add(n node) {
	n.W, n.H = nodeWide, nodeHigh
	t.Nodes = append(t.Nodes, n)
}

// begin is as much of a hash as people compare.
func begin(h tlog.Hash) string { return hex.EncodeToString(h[:6]) + "…" }

// level is one on the way from a leaf to the root.
type level struct {
	way, sibling tlog.Hash
	left         bool // the sibling is
}

// climb computes the nodes on the way from a leaf up (RFC 9162, section 2.1.3.2).
func climb(index, size int64, way tlog.Hash, proof []string) (levels []level, root tlog.Hash, err error) {
	last := size - 1
	for _, text := range proof {
		sibling, err := hex.DecodeString(text)
		if err != nil || len(sibling) != tlog.HashSize || last == 0 {
			return nil, way, fmt.Errorf("a proof of %d hashes, such as %.80q, for a log of %d", len(proof), text, size)
		}
		l := level{way: way, sibling: tlog.Hash(sibling), left: index%2 == 1 || index == last}
		levels = append(levels, l)
		if l.left {
			way = tlog.NodeHash(l.sibling, way)
			for index%2 == 0 && index != 0 { // a node without a sibling moves up as it is
				index, last = index/2, last/2
			}
		} else {
			way = tlog.NodeHash(way, l.sibling)
		}
		index, last = index/2, last/2
	}
	return levels, way, nil
}
