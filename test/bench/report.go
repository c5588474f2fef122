package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// referenceName is the target that ratios are to.
const referenceName = "ReverseProxy"

// report is what a run has found.
type report struct {
	CPUs      int           `json:"cpus"`
	Go        string        `json:"go"`
	LoadAvg   string        `json:"load_average"` // when the run began
	Rounds    int           `json:"rounds"`
	Window    time.Duration `json:"window_ns"`
	Reference string        `json:"reference"`
	Absent    []string      `json:"absent,omitempty"` // peers that are not installed
	Rows      []*row        `json:"rows"`
}

// row is one target under one load. Figures are medians of the rounds'; ratios are
// medians of the rounds' ratios to the reference.
type row struct {
	Scenario string  `json:"scenario"`
	Target   string  `json:"target"`
	Cost     float64 `json:"cpu_us"` // for a request; for a megabyte of a bulk transfer
	Rate     float64 `json:"rate"`   // requests per second; megabytes (10^6) per second
	P50      float64 `json:"p50_us,omitempty"`
	P99      float64 `json:"p99_us,omitempty"`
	// CostRatio and RateRatio are nil where there is no reference.
	CostRatio *float64 `json:"cpu_ratio,omitempty"`
	RateRatio *float64 `json:"rate_ratio,omitempty"`
	// Dialled counts connections that the origin accepted while nothing should have
	// opened one.
	Dialled int       `json:"origin_connections"`
	Samples []*sample `json:"samples"`

	scenario scenario
}

func newReport(r *rig, o *options) *report {
	load, _ := os.ReadFile("/proc/loadavg") // only told
	return &report{
		CPUs: runtime.NumCPU(), Go: runtime.Version(), LoadAvg: strings.Join(strings.Fields(string(load))[:1], ""),
		Rounds: o.rounds, Window: o.window, Reference: referenceName, Absent: r.absent,
	}
}

// add keeps a sample. Each target has one in each round.
func (r *report) add(s scenario, t *target, got *sample) {
	i := slices.IndexFunc(r.Rows, func(w *row) bool { return w.Scenario == s.name && w.Target == t.name })
	if i < 0 {
		i = len(r.Rows)
		r.Rows = append(r.Rows, &row{Scenario: s.name, Target: t.name, scenario: s})
	}
	r.Rows[i].Samples = append(r.Rows[i].Samples, got)
}

// sum reduces the samples.
func (r *report) sum() {
	for _, w := range r.Rows {
		w.Cost = w.median((*sample).cost)
		w.Rate = w.median((*sample).rate)
		w.P50 = w.median(func(s *sample) float64 { return float64(s.P50) / 1e3 })
		w.P99 = w.median(func(s *sample) float64 { return float64(s.P99) / 1e3 })
		if !w.scenario.fresh {
			for _, s := range w.Samples {
				w.Dialled += s.Connections
			}
		}
		i := slices.IndexFunc(r.Rows, func(other *row) bool { return other.Scenario == w.Scenario && other.Target == r.Reference })
		if i >= 0 {
			w.CostRatio, w.RateRatio = w.ratio(r.Rows[i], (*sample).cost), w.ratio(r.Rows[i], (*sample).rate)
		}
	}
}

func (w *row) median(of func(*sample) float64) float64 {
	values := make([]float64, len(w.Samples))
	for i, s := range w.Samples {
		values[i] = of(s)
	}
	return median(values)
}

// ratio is nil where the clock of CPU time is too coarse for the window.
func (w *row) ratio(reference *row, of func(*sample) float64) *float64 {
	var ratios []float64
	for i, s := range w.Samples {
		if base := of(reference.Samples[i]); base > 0 {
			ratios = append(ratios, of(s)/base)
		}
	}
	if len(ratios) == 0 {
		return nil
	}
	m := median(ratios)
	return &m
}

// write prints a table for each scenario.
func (r *report) write(out io.Writer) error {
	fmt.Fprintf(out, "%d CPUs, %s; load average at the start %s; %d rounds of %v each; × is to %s.\n",
		r.CPUs, r.Go, r.LoadAvg, r.Rounds, r.Window, r.Reference)
	for _, peer := range r.Absent {
		fmt.Fprintf(out, "%s is not installed and has no rows.\n", peer)
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	var last string
	for _, w := range r.Rows {
		if w.Scenario != last {
			last = w.Scenario
			if err := table.Flush(); err != nil {
				return err
			}
			fmt.Fprintf(out, "\n%s (%s)\n", w.scenario.title, w.Scenario)
			fmt.Fprintln(table, w.scenario.heading())
		}
		fmt.Fprintln(table, w.cells())
	}
	return table.Flush()
}

// heading names the columns; the last is the one that may be ragged.
func (s scenario) heading() string {
	if s.bulk {
		return "CPU ms/GB\t×\tGB/s\t×\t\t\t  \ttarget"
	}
	return "CPU µs\t×\treq/s\t×\tp50 µs\tp99 µs\t  \ttarget"
}

func (w *row) cells() string {
	cost, rate := fmt.Sprintf("%.1f", w.Cost), fmt.Sprintf("%.0f", w.Rate)
	p50, p99 := fmt.Sprintf("%.0f", w.P50), fmt.Sprintf("%.0f", w.P99)
	if w.scenario.bulk { // µs/MB are ms/GB
		cost, rate, p50, p99 = fmt.Sprintf("%.0f", w.Cost), fmt.Sprintf("%.2f", w.Rate/1e3), "", ""
	}
	note := ""
	if w.Dialled > 0 {
		note = fmt.Sprintf(" (%d new connections to the origin)", w.Dialled)
	}
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s\t  \t%s%s", cost, times(w.CostRatio), rate, times(w.RateRatio), p50, p99, w.Target, note)
}

func times(ratio *float64) string {
	if ratio == nil {
		return "–"
	}
	return fmt.Sprintf("%.2f", *ratio)
}
