package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// logSource is where a log is read from, laid out as C2SP tlog-tiles has it.
type logSource interface {
	checkpoint(ctx context.Context) ([]byte, error)
	// witnessed are the checkpoints that witnesses have cosigned and the source keeps
	// beside the newest, the larger trees first.
	witnessed(ctx context.Context) ([][]byte, error)
	tile(ctx context.Context, path string) ([]byte, error)
	// standing is the receipt_hash of the record at a place of a chain in the log;
	// "" where there is none, or the source cannot tell.
	standing(ctx context.Context, chain string, seq int64) string
}

func (f *logFlags) source() (logSource, error) {
	if !strings.Contains(f.log, "://") {
		if f.token != "" {
			return nil, errors.New("--token-file is for a collector's API, and --log names a directory")
		}
		return mirror(f.log), nil
	}
	base, err := url.Parse(f.log)
	if err != nil || base.Host == "" || base.Scheme != "https" && base.Scheme != "http" {
		return nil, fmt.Errorf("--log %s: want the collector's https://HOST, or a directory", f.log)
	}
	if f.token == "" {
		return nil, errors.New("--log URL needs --token-file, a token of the scope receipts.read")
	}
	token, err := os.ReadFile(f.token)
	if err != nil {
		return nil, fmt.Errorf("--token-file: %w", err)
	}
	return &logAPI{base: strings.TrimSuffix(f.log, "/"), token: strings.TrimSpace(string(token)), client: &http.Client{Timeout: time.Minute}}, nil
}

// mirror is a directory with a file checkpoint and a directory tile.
type mirror string

func (m mirror) checkpoint(context.Context) ([]byte, error) {
	return os.ReadFile(filepath.Join(string(m), "checkpoint"))
}

// witnessed: the one checkpoint has all that there is.
func (mirror) witnessed(context.Context) ([][]byte, error) { return nil, nil }

// tile takes what it needs of a fuller tile where a mirror has gone on to that.
func (m mirror) tile(_ context.Context, path string) ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(string(m), "tile", filepath.FromSlash(path)))
	whole, width, partial := strings.Cut(path, ".p/")
	if !errors.Is(err, os.ErrNotExist) || !partial {
		return data, err
	}
	n, _ := strconv.Atoi(width) // the path is of our own making
	if data, err = os.ReadFile(filepath.Join(string(m), "tile", filepath.FromSlash(whole))); err != nil {
		return nil, err
	}
	return data[:min(n*tlog.HashSize, len(data))], nil
}

func (mirror) standing(context.Context, string, int64) string { return "" }

// logAPI is a collector's.
type logAPI struct {
	base, token string
	client      *http.Client
}

// maxLogAnswer bounds an answer: a full tile has 8 KiB, a proof a few.
const maxLogAnswer = 64 << 10

func (a *logAPI) get(ctx context.Context, path string) ([]byte, error) {
	for {
		body, retry, err := a.try(ctx, path)
		if retry == 0 {
			return body, err
		}
		select {
		case <-time.After(retry):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// try asks once. Where the token's budget is used up, it says when to ask again.
func (a *logAPI) try(ctx context.Context, path string) (body []byte, retry time.Duration, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.base+path, http.NoBody)
	if err != nil {
		return nil, 0, err
	}
	request.Header.Set("Authorization", "Bearer "+a.token)
	answer, err := a.client.Do(request)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = answer.Body.Close() }() // read to its end below
	body, err = io.ReadAll(io.LimitReader(answer.Body, maxLogAnswer))
	switch {
	case err != nil:
		return nil, 0, err
	case answer.StatusCode == http.StatusTooManyRequests:
		seconds, _ := strconv.Atoi(answer.Header.Get("Retry-After"))
		return nil, time.Duration(min(max(seconds, 1), 60)) * time.Second, nil
	case answer.StatusCode != http.StatusOK:
		return nil, 0, fmt.Errorf("%s: %s: %.300s", path, answer.Status, body)
	}
	return body, 0, nil
}

func (a *logAPI) checkpoint(ctx context.Context) ([]byte, error) {
	return a.get(ctx, "/v1/log/checkpoint")
}

func (a *logAPI) witnessed(ctx context.Context) (all [][]byte, err error) {
	body, err := a.get(ctx, "/v1/log/witnesses")
	if err != nil {
		return nil, err
	}
	var list struct {
		Checkpoints []struct {
			Checkpoint string `json:"checkpoint"`
		} `json:"checkpoints"`
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, fmt.Errorf("/v1/log/witnesses: %w", err)
	}
	for _, c := range list.Checkpoints {
		all = append(all, []byte(c.Checkpoint))
	}
	return all, nil
}

func (a *logAPI) tile(ctx context.Context, path string) ([]byte, error) {
	return a.get(ctx, "/v1/log/tile/"+path)
}

func (a *logAPI) standing(ctx context.Context, chain string, seq int64) string {
	body, err := a.get(ctx, "/v1/log/inclusion?"+url.Values{"chain": {chain}, "seq": {strconv.FormatInt(seq, 10)}}.Encode())
	if err != nil {
		return ""
	}
	var proof struct {
		Hash string `json:"receipt_hash"`
	}
	_ = json.Unmarshal(body, &proof) // "" then
	return proof.Hash
}
