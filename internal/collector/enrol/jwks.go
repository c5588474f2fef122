package enrol

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// fresh is how long a cluster's keys are taken as they were read.
	fresh = 5 * time.Minute
	// maxJWKS bounds a key set, in bytes.
	maxJWKS = 1 << 20
	// fetchTimeout bounds one fetch of it.
	fetchTimeout = 10 * time.Second
)

// ClusterKeys reads a cluster's JWKS from a file, or from an https URL whose
// certificate one of the authorities in caFile has signed (the system's where it
// is ""). What was read counts for five minutes.
func ClusterKeys(source, caFile string) (func(context.Context) (*jose.JSONWebKeySet, error), error) {
	read := func(context.Context) ([]byte, error) { return os.ReadFile(source) }
	if strings.Contains(source, "://") {
		client, err := clusterClient(source, caFile)
		if err != nil {
			return nil, err
		}
		read = func(ctx context.Context) ([]byte, error) { return fetch(ctx, client, source) }
	}
	c := &clusterKeys{read: read}
	return c.get, nil
}

type clusterKeys struct {
	read func(context.Context) ([]byte, error)

	mu   sync.Mutex // held while they are read, so that one does for all who wait
	keys *jose.JSONWebKeySet
	at   time.Time
}

func (c *clusterKeys) get(ctx context.Context) (*jose.JSONWebKeySet, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keys != nil && time.Since(c.at) < fresh {
		return c.keys, nil
	}
	text, err := c.read(ctx)
	if err != nil {
		return nil, err
	}
	keys := new(jose.JSONWebKeySet)
	if err := json.Unmarshal(text, keys); err != nil {
		return nil, fmt.Errorf("not a JWKS: %w", err)
	}
	if len(keys.Keys) == 0 {
		return nil, errors.New("a JWKS without keys")
	}
	c.keys, c.at = keys, time.Now()
	return keys, nil
}

func clusterClient(source, caFile string) (*http.Client, error) {
	if !strings.HasPrefix(source, "https://") {
		return nil, fmt.Errorf("%s: a cluster's keys come from a file or by https", source)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile != "" {
		pem, err := os.ReadFile(caFile)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate in PEM form", caFile)
		}
	}
	return &http.Client{
		Timeout:       fetchTimeout,
		Transport:     &http.Transport{TLSClientConfig: config},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

func fetch(ctx context.Context, client *http.Client, source string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, source, http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", source, response.Status)
	}
	return io.ReadAll(io.LimitReader(response.Body, maxJWKS))
}
