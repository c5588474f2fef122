package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// maxSocketPath is what fits into sun_path with its final zero (unix(7)).
const maxSocketPath = 107

// check holds every value against what it may be.
func (l *loader) check(c *Config) {
	for _, k := range keys() {
		l.want(k.path, k.outside(c))
	}
	l.want("listen", listener(c.Listen))
	if c.MetricsListen != off {
		l.want("metrics_listen", listener(c.MetricsListen))
		l.want("metrics_listen", apart(c.MetricsListen, c.Listen))
	}
	l.want("data", given(c.Data))
	if c.AdminSocket == "" {
		l.want("data", socket(defaultSocket(c)))
	}
	l.want("admin_socket", socket(c.AdminSocket))
	if c.Policy != "" && len(c.AllowedHosts) > 0 {
		source, _ := l.source("policy")
		l.want("allowed_hosts", fmt.Errorf("is set beside policy, which is set by %s; keep one of them", source))
	}
	l.checkModel(&c.Model)
	l.want("tenant", name(c.Tenant))
	l.want("agent", name(c.Agent))
	l.checkAgents(c.Agents)
	l.checkJournal(&c.Journal)
	l.checkCollector(&c.Collector)
	l.checkResolver(&c.Resolver)
	for i, path := range c.TLS.ExtraRoots {
		l.want(fmt.Sprintf("tls.extra_roots[%d]", i), given(path))
	}
	if c.TLS.CA.Cert != "" && c.TLS.CA.Key == "" {
		l.want("tls.ca.cert", errors.New("needs tls.ca.key beside it"))
	}
	if c.TLS.CA.Key != "" && c.TLS.CA.Cert == "" {
		l.want("tls.ca.key", errors.New("needs tls.ca.cert beside it"))
	}
	l.want("log.level", oneOf(c.Log.Level, "debug", "info", "warn", "error"))
	l.want("log.format", oneOf(c.Log.Format, "json", "text"))
}

func (l *loader) checkModel(m *Model) {
	if m.URL == "" {
		if m.Name != "" || m.KeyFile != "" || len(m.Addresses) > 0 {
			l.want("model.url", errors.New("is empty, and the other settings of model need it"))
		}
		return
	}
	u, err := url.Parse(m.URL)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		l.want("model.url", fmt.Errorf("%q is not the URL of an API, such as https://api.openai.com/v1", m.URL))
	}
	if m.Name == "" {
		l.want("model.name", errors.New("is empty; name the model as its endpoint does"))
	}
}

func listener(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q is not an address to listen on; write host:port, such as 127.0.0.1:3128", address)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q has no port from 0 to 65535", address)
	}
	if _, err := netip.ParseAddr(host); err != nil && host != "" && host != "localhost" {
		return fmt.Errorf("%q is not an IP address of this machine; names are not resolved", host)
	}
	return nil
}

// apart keeps two listeners off one port. What is wrong with either alone has
// been said.
func apart(address, other string) error {
	_, port, err := net.SplitHostPort(address)
	_, taken, otherErr := net.SplitHostPort(other)
	if err == nil && otherErr == nil && port == taken && port != "0" {
		return fmt.Errorf("has port %s, which listen has; agents must not reach it there", port)
	}
	return nil
}

func given(text string) error {
	if strings.TrimSpace(text) == "" {
		return errors.New("is empty")
	}
	return nil
}

func socket(path string) error {
	if len(path) > maxSocketPath {
		return fmt.Errorf("the admin socket %s has %d bytes, a Unix socket's path at most %d; set admin_socket to a shorter one, or to off", path, len(path), maxSocketPath)
	}
	return nil
}

func name(text string) error {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"
	if text == "" || len(text) > 64 || strings.Trim(text, letters) != "" {
		return fmt.Errorf("%q is not 1 to 64 letters, digits, dots, dashes and underscores", text)
	}
	return nil
}

func oneOf(text string, values ...string) error {
	if slices.Contains(values, text) {
		return nil
	}
	return fmt.Errorf("%q is none of %s", text, strings.Join(values, ", "))
}

// checkCollector wants all of a collector, or nothing.
func (l *loader) checkCollector(c *Collector) {
	if c.Address == "" {
		return
	}
	host, port, err := net.SplitHostPort(c.Address)
	if n, bad := strconv.ParseUint(port, 10, 16); err != nil || host == "" || bad != nil || n == 0 {
		l.want("collector.address", fmt.Errorf("%q is not host:port, such as collector.example.com:8443", c.Address))
	}
	if c.CAFile == "" {
		l.want("collector.ca_file", errors.New("is needed with collector.address"))
	}
	if c.TokenFile == "" {
		l.want("collector.token_file", errors.New("is needed with collector.address"))
	}
}

// checkJournal keeps the limits in their order.
func (l *loader) checkJournal(j *Journal) {
	if j.HighWater < j.RetentionSize {
		l.want("journal.high_water", fmt.Errorf("%d is below journal.retention_size, which is %d: it would always warn", j.HighWater, j.RetentionSize))
	}
	if j.HardMark < j.HighWater {
		l.want("journal.hard_mark", fmt.Errorf("%d is below journal.high_water, which is %d: it would never warn", j.HardMark, j.HighWater))
	}
}
