package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"time"
)

// shipped is what became of the receipts at the collector.
type shipped struct {
	Address  string `json:"address"`  // of its pages and API
	Receipts int    `json:"receipts"` // in its API
	Bundle   string `json:"bundle"`   // exported there, as signet verify says it
	Second   string `json:"second_verifier,omitempty"`
}

// reader asks the collector as a person and a person's program would.
type reader struct {
	*demoCollector
	client *http.Client
}

// checkCollector holds what the collector has against the lines, and verifies a
// bundle that it exports into the file at path.
func (d *demo) checkCollector(ctx context.Context, c *demoCollector, p *playbill, path string) error {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	r := &reader{demoCollector: c, client: &http.Client{Jar: jar, Transport: &http.Transport{}}}
	defer r.client.CloseIdleConnections()
	p.Collector = &shipped{Address: c.url}
	if err := r.checkReceipts(ctx, p); err != nil {
		return fmt.Errorf("the collector's API: %w", err)
	}
	if err := r.checkPages(ctx, p.Lines); err != nil {
		return fmt.Errorf("the collector's pages: %w", err)
	}
	if err := r.export(ctx, path); err != nil {
		return fmt.Errorf("an export of the collector: %w", err)
	}
	if p.Collector.Bundle, err = verifyBundle(ctx, path); err != nil {
		return fmt.Errorf("the collector's bundle: %w", err)
	}
	if d.second == "" {
		return nil
	}
	if p.Collector.Second, err = secondOpinion(ctx, d.second, path); err != nil {
		return fmt.Errorf("the collector's bundle: %w", err)
	}
	return nil
}

// checkReceipts wants the receipt of every line in the API once, and no other.
func (r *reader) checkReceipts(ctx context.Context, p *playbill) error {
	var list struct {
		Receipts []struct {
			ID string `json:"receipt_id"`
		} `json:"receipts"`
	}
	if err := r.get(ctx, "/v1/receipts?limit=500", &list); err != nil {
		return err
	}
	p.Collector.Receipts = len(list.Receipts)
	there := make(map[string]int)
	for _, receipt := range list.Receipts {
		there[receipt.ID]++
	}
	for _, l := range p.Lines {
		if there[l.Receipt] != 1 {
			return fmt.Errorf("it has the receipt of %q %d times", l.Tried, there[l.Receipt])
		}
	}
	if len(list.Receipts) != len(p.Lines) {
		return fmt.Errorf("%d receipts for %d exchanges", len(list.Receipts), len(p.Lines))
	}
	var chains struct {
		Chains []struct {
			CleanStop bool `json:"clean_stop"`
		} `json:"chains"`
	}
	if err := r.get(ctx, "/v1/chains", &chains); err != nil {
		return err
	}
	if len(chains.Chains) != 1 || !chains.Chains[0].CleanStop {
		return errors.New("it does not have one chain that ends with a clean stop")
	}
	return nil
}

// checkPages logs in and opens the page of each receipt.
func (r *reader) checkPages(ctx context.Context, lines []*line) error {
	if _, err := r.do(ctx, http.MethodPost, "/login", "application/x-www-form-urlencoded", url.Values{"token": {r.token}}.Encode()); err != nil {
		return err
	}
	for _, l := range lines {
		page, err := r.do(ctx, http.MethodGet, "/receipts/"+l.Receipt, "", "")
		if err != nil {
			return err
		}
		if !bytes.Contains(page, []byte(l.Receipt)) || !bytes.Contains(page, []byte(l.Reason)) {
			return fmt.Errorf("the page of %q does not show it", l.Tried)
		}
	}
	return nil
}

// export writes a bundle of the one chain.
func (r *reader) export(ctx context.Context, path string) error {
	var chains struct {
		Chains []struct {
			ID string `json:"id"`
		} `json:"chains"`
	}
	if err := r.get(ctx, "/v1/chains", &chains); err != nil {
		return err
	}
	now := time.Now().UTC()
	body, err := json.Marshal(map[string]any{"chain": chains.Chains[0].ID, "from": now.Add(-24 * time.Hour), "to": now.Add(time.Hour)})
	if err != nil {
		return err
	}
	bundle, err := r.do(ctx, http.MethodPost, "/v1/exports", "application/json", string(body))
	if err != nil {
		return err
	}
	return os.WriteFile(path, bundle, 0o600)
}

func (r *reader) get(ctx context.Context, path string, into any) error {
	answer, err := r.do(ctx, http.MethodGet, path, "", "")
	if err != nil {
		return err
	}
	return json.Unmarshal(answer, into)
}

func (r *reader) do(ctx context.Context, method, path, form, body string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, r.url+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if form != "" {
		request.Header.Set("Content-Type", form)
	}
	if strings.HasPrefix(path, "/v1/") {
		request.Header.Set("Authorization", "Bearer "+r.token)
	}
	answer, err := r.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }() // read to its end below
	received, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s: %s", method, path, answer.Status, received)
	}
	return received, err
}

// verifyBundle is signet verify, which must find the proof of the log in the bundle;
// its first line is the verdict.
func verifyBundle(ctx context.Context, path string) (string, error) {
	var out strings.Builder
	verify := newVerifyCommand()
	verify.SilenceErrors, verify.SilenceUsage = true, true
	verify.SetArgs([]string{path})
	verify.SetOut(&out)
	verify.SetErr(io.Discard)
	if err := verify.ExecuteContext(ctx); err != nil {
		return "", err
	}
	if !strings.Contains(out.String(), "\nlogged: the last record is in the log ") {
		return "", fmt.Errorf("it does not prove that its last record is in the log:\n%s", out.String())
	}
	verdict, _, _ := strings.Cut(out.String(), "\n")
	return verdict, nil
}

func succeeds(cmd *exec.Cmd) bool { return cmd.Run() == nil }

// secondOpinion is what the verifier in Python says, where there is a Python that
// can run it.
func secondOpinion(ctx context.Context, script, path string) (string, error) {
	if !succeeds(exec.CommandContext(ctx, "python3", "-I", "-c", "import cryptography")) {
		return "not asked: it needs python3 with the package cryptography", nil
	}
	cmd := exec.CommandContext(ctx, "python3", "-I", script, path) //nolint:gosec // what --second-verifier names
	var stderr strings.Builder
	cmd.Stderr = &stderr
	answer, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", script, err, stderr.String())
	}
	verdict, _, _ := strings.Cut(string(answer), "\n")
	return verdict, nil
}

// describe tells what became of the receipts at the collector.
func (s *shipped) describe() string {
	text := fmt.Sprintf("collector: %s has all %d receipts, each with its page, and the clean stop\n", s.Address, s.Receipts)
	text += fmt.Sprintf("a bundle exported there: %s\n", s.Bundle)
	if s.Second != "" {
		text += fmt.Sprintf("the second verifier: %s\n", s.Second)
	}
	return text
}
