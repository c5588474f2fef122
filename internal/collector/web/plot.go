package web

import (
	"fmt"
	"time"
)

// Measures of a plot, in its own units: about pixels, since it is drawn for two
// widths of the screen.
const (
	broadWidth  = 960
	narrowWidth = 360
	plotHeight  = 220
	plotLeft    = 56
	plotBottom  = 190
	plotTop     = 12
)

// plot is a stacked bar for each step of time, as SVG draws it.
type plot struct {
	Class         string // broad or narrow
	Width, Height int64
	Bars          []bar
	Lines         []line // of the vertical axis
	Labels        []label
	Empty         bool
}

// bar is one rectangle, with what it says when pointed at.
type bar struct {
	X, Y, W, H int64
	Class      string
	Title      string
}

type line struct {
	Y    int64
	Text string
}

type label struct {
	X    int64
	Text string
}

// step is one step of time and its counts by outcome.
type step struct {
	At     time.Time
	Counts map[string]int64
}

// plotted are the outcomes in the order in which they are stacked.
var plotted = []string{"forwarded", "denied", "failed", "unknown"}

// drawTraffic draws steps for broad screens and for narrow ones; the style sheet
// shows one of the two.
func drawTraffic(steps []step, layout string) []plot {
	return []plot{draw(steps, layout, "broad", broadWidth, 6), draw(steps, layout, "narrow", narrowWidth, 3)}
}

// draw draws steps in a width, with at most that many labels of times, or one more.
func draw(steps []step, layout, class string, width int64, labels int) plot {
	p := plot{Class: class, Width: width, Height: plotHeight, Empty: true}
	var most int64
	for _, s := range steps {
		most = max(most, total(s.Counts))
	}
	p.Empty = most == 0
	top := roundUp(max(most, 1))
	for i := range int64(3) {
		n := top * i / 2
		p.Lines = append(p.Lines, line{Y: plotBottom - (plotBottom-plotTop)*i/2, Text: count(n)})
	}
	room := width - plotLeft
	n := int64(max(len(steps), 1))
	for i, s := range steps {
		x, next := plotLeft+room*int64(i)/n, plotLeft+room*int64(i+1)/n
		p.stack(s, x, max(next-x-1, 1), top, layout)
		if every := max(n/int64(labels), 1); int64(i)%every == 0 {
			p.Labels = append(p.Labels, label{X: x, Text: s.At.UTC().Format(layout)})
		}
	}
	return p
}

func (p *plot) stack(s step, x, w, top int64, layout string) {
	var below int64
	for _, outcome := range plotted {
		n := s.Counts[outcome]
		if n == 0 {
			continue
		}
		low, high := height(below, top), height(below+n, top)
		p.Bars = append(p.Bars, bar{
			X: x, W: w, Y: plotBottom - max(high, low+1), H: max(high-low, 1), Class: outcome,
			Title: fmt.Sprintf("%s: %s %s", s.At.UTC().Format(layout), count(n), outcome),
		})
		below += n
	}
}

func height(n, top int64) int64 {
	const room = plotBottom - plotTop
	if n > 1<<40 { // far from the end of int64
		return room * (n >> 20) / max(top>>20, 1)
	}
	return room * n / top
}

func total(counts map[string]int64) (sum int64) {
	for _, n := range counts {
		sum += n
	}
	return sum
}

// roundUp is the next of 2, 4, 10, 20, 40, 100, …, so that half of it is whole.
func roundUp(n int64) int64 {
	for scale := int64(1); scale < 1<<58; scale *= 10 {
		for _, top := range []int64{2 * scale, 4 * scale, 10 * scale} {
			if n <= top {
				return top
			}
		}
	}
	return n
}
