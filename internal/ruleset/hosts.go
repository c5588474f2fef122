package ruleset

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/signet-egress/signet/internal/policy"
	"github.com/signet-egress/signet/internal/strictyaml"
)

// hostsPath stands in the version for the file that a list of hosts makes.
const hostsPath = "allowed-hosts.yaml"

// FromHosts makes the policy of a list of hosts, for those who have no file: each
// is a host as rules write it, wildcards included, for https on port 443, or
// host:port, for http and https on that port. The policy is that of a file with
// one rule a port; its version is the same for the same hosts in any order. The
// error says for each entry that is wrong what is wrong with it.
func FromHosts(entries []string) (*Set, error) {
	ports := make(map[uint16][]string)
	var errs []error
	for _, entry := range entries {
		host, port, err := splitEntry(entry)
		if err == nil {
			err = try(host)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		ports[port] = append(ports[port], host)
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("allowed_hosts is not usable:\n%w", errors.Join(errs...))
	}
	return made([]policy.File{{Path: hostsPath, Data: []byte(hostsPolicy(ports))}})
}

// splitEntry cuts a port off. An IPv6 address with a port stands in brackets.
func splitEntry(entry string) (host string, port uint16, err error) {
	if entry == "" {
		return "", 0, errors.New("an entry is empty: two commas in a row, or one at an end")
	}
	colon := strings.LastIndexByte(entry, ':')
	if colon < 0 || strings.HasSuffix(entry, "]") || strings.Count(entry, ":") > 1 && !strings.HasPrefix(entry, "[") {
		return entry, 443, nil
	}
	if strings.Contains(entry, "://") {
		return "", 0, fmt.Errorf("%s: write the host alone, or host:port, without a scheme", strconv.QuoteToASCII(entry))
	}
	n, err := strconv.ParseUint(entry[colon+1:], 10, 16)
	if err != nil || n == 0 {
		return "", 0, fmt.Errorf("%s: the port is not a number from 1 to 65535", strconv.QuoteToASCII(entry))
	}
	return entry[:colon], uint16(n), nil
}

// try compiles a host by itself, so that the error is of this entry alone.
func try(host string) error {
	_, err := policy.Compile([]policy.File{{Data: []byte(hostsPolicy(map[uint16][]string{443: {host}}))}})
	if wrong, ok := errors.AsType[*strictyaml.Error](err); ok {
		return errors.New(wrong.Problem)
	}
	return err
}

// hostsPolicy writes the policy file.
func hostsPolicy(ports map[uint16][]string) string {
	var b strings.Builder
	b.WriteString("version: 1\nrules:\n")
	for _, port := range slices.Sorted(maps.Keys(ports)) {
		schemes := "http, https"
		if port == 443 {
			schemes = "https"
		}
		hosts := slices.Clone(ports[port])
		slices.Sort(hosts)
		fmt.Fprintf(&b, "  - name: allowed-hosts-%d\n    ports: [%d]\n    schemes: [%s]\n    hosts:\n", port, port, schemes)
		for _, host := range slices.Compact(hosts) {
			// ASCII in double quotes is read by YAML as Go writes it.
			fmt.Fprintf(&b, "      - %s\n", strconv.QuoteToASCII(host))
		}
	}
	return b.String()
}
