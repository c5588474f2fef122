package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-egress/signet/internal/doctor"
	"github.com/signet-egress/signet/receipts"
	"github.com/signet-egress/signet/receipts/journal"
)

// doctorFlags are the command line of doctor, before it is read.
type doctorFlags struct {
	proxy, ca, probe, data string
	direct                 []string
	timeout                time.Duration
	json                   bool
}

func newDoctorCommand() *cobra.Command {
	var f doctorFlags
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Examine, where the agent runs, whether its clients go through Signet",
		Long: `Run it as the agent, in its environment. It says, in green, yellow or red and with
the fix: whether the proxy is reachable and the variables are set; whether curl,
Python, Node, Go programs, Java, Deno and Git, as far as installed, go through it
and trust the interception CA; whether there is a way out around it; and what it
finds of names, clock and disk.

Each client is run, and asks the proxy for 192.0.2.1 (TEST-NET-1), which Signet
always denies, without a DNS query or a connection; each request leaves a receipt.
Nothing is sent outside but packets to addresses that belong to nobody, unless
--probe or --direct say where to.

Exit status: 0 if nothing is red, 1 if anything is, 2 if the flags cannot be used.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return exit(exitUnusable, fmt.Errorf("doctor takes flags only, not %s", printable(args[0])))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := f.options(cmd.Context())
			if err != nil {
				return exit(exitUnusable, err)
			}
			return showReport(cmd.OutOrStdout(), doctor.Run(cmd.Context(), o), f.json)
		},
	}
	cmd.Flags().StringVar(&f.proxy, "proxy", "", "Signet's address, as http://HOST:PORT (default: what the variables say)")
	cmd.Flags().StringVar(&f.ca, "ca", "", "certificate of the interception CA (PEM), which each client is to trust")
	cmd.Flags().StringVar(&f.probe, "probe", "", "URL that each client fetches through the proxy; best of a host that the policy intercepts")
	cmd.Flags().StringSliceVar(&f.direct, "direct", nil, "IP:PORT to try to reach around the proxy; can be repeated")
	cmd.Flags().StringVar(&f.data, "data", "", "Signet's data directory, for its disk and clock; where it is mounted")
	cmd.Flags().DurationVar(&f.timeout, "timeout", 5*time.Second, "limit of one request, from 1s to 1m")
	cmd.Flags().BoolVar(&f.json, "json", false, "print one JSON object")
	return cmd
}

func (f *doctorFlags) options(ctx context.Context) (o doctor.Options, err error) {
	o = doctor.Options{Environ: os.Environ(), Data: f.data, Timeout: f.timeout}
	if f.timeout < time.Second || f.timeout > time.Minute {
		return o, fmt.Errorf("--timeout %s: want 1s to 1m", f.timeout)
	}
	if f.proxy != "" {
		if o.Proxy, err = doctor.ParseProxy(f.proxy); err != nil {
			return o, fmt.Errorf("--proxy: %w", err)
		}
	}
	if f.ca != "" {
		if o.CA, err = doctor.ReadCA(f.ca); err != nil {
			return o, fmt.Errorf("--ca: %w", err)
		}
	}
	if f.probe != "" {
		o.Probe, err = url.Parse(f.probe)
		if err != nil || o.Probe.Hostname() == "" || o.Probe.Scheme != "https" && o.Probe.Scheme != "http" {
			return o, fmt.Errorf("--probe %s: want a URL such as https://api.example.com/", printable(f.probe))
		}
	}
	for _, d := range f.direct {
		to, err := netip.ParseAddrPort(d)
		if err != nil {
			return o, fmt.Errorf("--direct %s: want IP:PORT, such as 192.0.2.1:443", printable(d))
		}
		o.Direct = append(o.Direct, to)
	}
	if f.data != "" {
		o.Newest = newestRecord(ctx, f.data)
	}
	return o, nil
}

// newestRecord is the time of a journal's head, or zero where it cannot be
// read: the agent is not meant to.
func newestRecord(ctx context.Context, dir string) (newest time.Time) {
	var source recordSource
	reader, err := journal.OpenReader(dir)
	switch {
	case err == nil:
		source = stopped{reader}
	case errors.As(err, new(*journal.LockedError)):
		source = dialAdmin(filepath.Join(dir, "admin.sock"))
	default:
		return newest
	}
	defer func() { _ = source.close() }() // only read
	seq, err := source.head(ctx)
	if err != nil {
		return newest
	}
	_ = source.each(ctx, seq, false, func(line []byte) error { // without a time there is nothing to compare
		r, err := receipts.Decode(line)
		if err == nil {
			newest = r.RecordHead().TS
		}
		return err
	})
	return newest
}

var statusColour = map[doctor.Status]string{doctor.Green: green, doctor.Yellow: yellow, doctor.Red: red}

func showReport(w io.Writer, r *doctor.Report, asJSON bool) error {
	show := showReportText
	if asJSON {
		show = showReportJSON
	}
	if err := show(w, r); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	if r.Count(doctor.Red) > 0 {
		return exit(1, nil)
	}
	return nil
}

func showReportJSON(w io.Writer, r *doctor.Report) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(struct {
		*doctor.Report
		Green  int `json:"green"`
		Yellow int `json:"yellow"`
		Red    int `json:"red"`
	}{r, r.Count(doctor.Green), r.Count(doctor.Yellow), r.Count(doctor.Red)})
}

// showReportText writes one line a finding, and its fix below.
func showReportText(w io.Writer, r *doctor.Report) error {
	style := styleOf(w)
	var b strings.Builder
	group := ""
	for i, c := range r.Checks {
		if c.Group != group {
			group = c.Group
			fmt.Fprintf(&b, "%s\n", style.paint(bold, group))
		}
		fmt.Fprintf(&b, "  %s  %-24s  %s\n", style.paint(statusColour[c.Status], fmt.Sprintf("%-6s", c.Status)), printable(c.Name), printable(c.Detail))
		// One fix for several lines stands below the last of them.
		if c.Fix != "" && (i+1 == len(r.Checks) || r.Checks[i+1].Fix != c.Fix) {
			fmt.Fprintf(&b, "%34s%s %s\n", "", style.paint(dim, "fix:"), printable(c.Fix))
		}
	}
	fmt.Fprintln(&b)
	if len(r.NotInstalled) > 0 {
		fmt.Fprintf(&b, "not installed: %s\n", strings.Join(r.NotInstalled, ", "))
	}
	fmt.Fprintf(&b, "%d green, %d yellow, %d red\n", r.Count(doctor.Green), r.Count(doctor.Yellow), r.Count(doctor.Red))
	_, err := io.WriteString(w, b.String())
	return err
}
