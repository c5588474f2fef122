// Command bench measures whole proxies over loopback: signet run as users have it,
// the same without receipts, net/http's ReverseProxy as the reference, the origin
// itself, and squid where it is installed.
//
// A busy machine changes every time that is measured on it, so every figure comes
// from rounds in which all take their turns, and what counts is the median of the
// rounds' ratios to the reference.
//
// The program runs itself as the other parts; see roles. docs/performance.md says
// how to read what it prints.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"slices"
	"syscall"
	"time"
)

// roles are what the program is when it runs itself.
var roles = map[string]func(args []string) error{
	"origin":    func([]string) error { return runOrigin() },
	"reference": func(args []string) error { return runReference(args[0]) },
	"without":   func(args []string) error { return runWithout(args[0], args[1]) },
	"profiled":  func(args []string) error { return runProfiled(args[0], args[1]) },
}

// options are the flags.
type options struct {
	rounds   int
	window   time.Duration
	only     *regexp.Regexp // scenarios
	targets  *regexp.Regexp // beside the reference
	bin      string
	dir      string
	profile  string
	peers    bool
	json     bool
	progress io.Writer
}

func main() {
	takeRole()
	o, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		exit(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	exit(run(ctx, o, os.Stdout))
}

// takeRole does not return where this is one of the other parts.
func takeRole() {
	if len(os.Args) < 2 {
		return
	}
	if role := roles[os.Args[1]]; role != nil {
		exit(role(os.Args[2:]))
	}
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func parse(args []string) (*options, error) {
	o := &options{progress: os.Stderr}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.IntVar(&o.rounds, "rounds", 5, "rounds; more for small differences")
	flags.DurationVar(&o.window, "window", 350*time.Millisecond, "how long each measurement counts")
	only := flags.String("only", "", "measure only the scenarios whose name matches this regular expression")
	targets := flags.String("targets", "", "measure only the targets whose name matches this regular expression, and the reference")
	flags.StringVar(&o.bin, "bin", "", "the directory of signet and signet-collector; they are built when it is not named")
	flags.StringVar(&o.dir, "dir", "", "where data directories are made; the journal is as fast as this disk")
	flags.StringVar(&o.profile, "profile", "", "leave signet's CPU and allocation profiles in this directory")
	flags.BoolVar(&o.peers, "peers", true, "measure squid too, where it is installed")
	flags.BoolVar(&o.json, "json", false, "print JSON, with every round")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if o.rounds < 1 || o.window < 10*time.Millisecond || flags.NArg() > 0 {
		return nil, errors.New("want at least 1 round, a window of at least 10ms and no arguments; see bench -h")
	}
	var err, targetsErr error
	o.only, err = regexp.Compile(*only)
	o.targets, targetsErr = regexp.Compile(*targets)
	return o, errors.Join(err, targetsErr)
}

func run(ctx context.Context, o *options, out io.Writer) error {
	runtime.GOMAXPROCS(1) // leaves a core to what is measured
	r, err := newRig(ctx, o)
	if err != nil {
		return err
	}
	defer r.close()
	report, err := r.rounds(ctx, o)
	if err != nil {
		return err
	}
	if o.json {
		return json.NewEncoder(out).Encode(report)
	}
	return report.write(out)
}

// measures reports whether the target was asked for.
func (o *options) measures(t *target) bool {
	return t.name == referenceName || o.targets.MatchString(t.name)
}

// rounds has all targets take their turns, in another order in each round.
func (r *rig) rounds(ctx context.Context, o *options) (*report, error) {
	rep := newReport(r, o)
	kinds := slices.DeleteFunc(scenarios(), func(s scenario) bool { return !o.only.MatchString(s.name) })
	for round := range o.rounds {
		fmt.Fprintf(o.progress, "round %d of %d\n", round+1, o.rounds)
		for _, s := range kinds {
			for i := range r.targets {
				t := r.targets[(i+round)%len(r.targets)]
				if !t.takes(s) || !o.measures(t) {
					continue
				}
				got, err := r.measure(ctx, t, s, o.window)
				if err != nil {
					return nil, err
				}
				rep.add(s, t, got)
			}
		}
	}
	rep.sum()
	return rep, nil
}
