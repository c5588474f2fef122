package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-egress/signet/receipts/logproof"
)

// witnessFlags say whose cosignatures a log's checkpoint must have.
type witnessFlags struct {
	keys   []string
	needed int
	policy string
}

func (f *witnessFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.keys, "witness", nil, "verifier key of a witness that must have cosigned the log's checkpoint; may be given several times")
	cmd.Flags().IntVar(&f.needed, "witnesses-needed", 0, "how many of the witnesses must have cosigned it (default all)")
	cmd.Flags().StringVar(&f.policy, "witness-policy", "", "file of a policy (C2SP tlog-policy) that the checkpoint must meet, in the place of --witness")
}

// read is the policy that is asked for; nil for none.
func (f *witnessFlags) read() (*logproof.Policy, error) {
	switch {
	case f.policy != "" && (len(f.keys) > 0 || f.needed != 0):
		return nil, errors.New("--witness-policy says all that --witness and --witnesses-needed could: give it alone")
	case f.policy != "":
		return readPolicy(f.policy)
	case len(f.keys) == 0 && f.needed != 0:
		return nil, errors.New("--witnesses-needed counts those of --witness, and there is none")
	case len(f.keys) == 0:
		return nil, nil
	case f.needed < 0 || f.needed > len(f.keys):
		return nil, fmt.Errorf("--witnesses-needed %d: want 1 to %d, as many as there are of --witness", f.needed, len(f.keys))
	}
	witnesses := make([]*logproof.Witness, len(f.keys))
	for i, key := range f.keys {
		var err error
		if witnesses[i], err = logproof.NewWitness(key); err != nil {
			return nil, fmt.Errorf("--witness %s: %w", key, err)
		}
	}
	p, err := logproof.Needed(f.needed, witnesses...)
	if err != nil {
		return nil, fmt.Errorf("--witness: %w", err)
	}
	return p, nil
}

func readPolicy(path string) (*logproof.Policy, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--witness-policy: %w", err)
	}
	p, err := logproof.ParsePolicy(text)
	if err != nil {
		return nil, fmt.Errorf("--witness-policy %s: %w", path, err)
	}
	return p, nil
}

// cosignedAnswer is a cosignature in the answer as JSON.
type cosignedAnswer struct {
	Witness string    `json:"witness"`
	Time    time.Time `json:"time"` // by its clock
}

func cosignedAnswers(found []logproof.Cosignature) (answers []cosignedAnswer) {
	for _, c := range found {
		answers = append(answers, cosignedAnswer{c.Witness.Name(), c.Time})
	}
	return answers
}

// describeWitnesses says who has cosigned a checkpoint, and what was not checked.
func describeWitnesses(demanded bool, found []logproof.Cosignature, others int) string {
	unchecked := "no other signature is on the checkpoint but the log's"
	if others > 0 {
		unchecked = fmt.Sprintf("%s on the checkpoint, beside the log's, not checked", plural(int64(others), "signature"))
	}
	if !demanded {
		return "witnesses: none were asked for (--witness); " + unchecked + "\n"
	}
	by := make([]string, len(found))
	for i, c := range found {
		by[i] = fmt.Sprintf("%s at %s", printable(c.Witness.Name()), c.Time.Format(time.RFC3339))
	}
	s := "witnesses: the policy needs none"
	if len(by) > 0 {
		s = "witnesses: cosigned by " + strings.Join(by, ", ")
	}
	if others > 0 {
		s += "; " + unchecked
	}
	return s + "\n"
}
