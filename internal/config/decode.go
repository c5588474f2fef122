package config

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

var (
	duration = reflect.TypeFor[time.Duration]()
	address  = reflect.TypeFor[netip.Addr]()
	block    = reflect.TypeFor[netip.Prefix]()
)

// scalarType reports whether a type of several fields or bytes is written as a
// single value.
func scalarType(t reflect.Type) bool { return t == address || t == block || t == digest }

// hook converts a value on its way into Config. viper's decoder is lenient: a
// number would become a text, and 5 a duration of 5 ns. Everything that is not
// plainly meant is refused here.
func hook(from, to reflect.Type, value any) (any, error) {
	text, isText := value.(string)
	switch {
	case from == to:
		return value, nil
	case to == duration:
		if !isText {
			return nil, fmt.Errorf("%v has no unit; write %vs for seconds", value, value)
		}
		return scalar(text, to)
	case scalarType(to), to.Kind() == reflect.Int:
		if !isText {
			return number(to, value)
		}
		return scalar(text, to)
	case to.Kind() == reflect.String && !isText:
		return nil, fmt.Errorf("want text, not %v; put it in quotes", value)
	case to.Kind() == reflect.Slice && isText:
		return list(text, to.Elem())
	case to.Kind() == reflect.Slice && from.Kind() != reflect.Slice:
		return nil, fmt.Errorf("want a list, not %v", value)
	}
	return value, nil
}

// number passes whole numbers of YAML for numbers and refuses the rest.
func number(to reflect.Type, value any) (any, error) {
	if _, whole := value.(int); whole && to.Kind() == reflect.Int {
		return value, nil
	}
	switch to {
	case address:
		return nil, fmt.Errorf("want an IP address, not %v", value)
	case block:
		return nil, fmt.Errorf("want a block of addresses, such as 10.96.0.0/12, not %v", value)
	case digest:
		return nil, errors.New("want 64 hexadecimal digits as text; put them in quotes")
	}
	return nil, fmt.Errorf("want a whole number, not %v", value)
}

// scalar reads a single value in the form of flags, environment and tags.
func scalar(text string, to reflect.Type) (any, error) {
	switch to {
	case duration:
		d, err := time.ParseDuration(text)
		if err != nil {
			return nil, fmt.Errorf("%q is not a duration; write one such as 500ms, 30s or 10m", text)
		}
		return d, nil
	case address:
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" {
			return nil, fmt.Errorf("%q is not an IP address", text)
		}
		return a, nil
	case block:
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("%q is not a block of addresses; write one such as 10.96.0.0/12, or 10.96.0.1/32 for a single address", text)
		}
		if p != p.Masked() {
			return nil, fmt.Errorf("%q has bits set behind its length; write %s", text, p.Masked())
		}
		return p, nil
	case digest:
		return parseDigest(text)
	default:
		n, err := strconv.Atoi(text)
		if err != nil {
			return nil, fmt.Errorf("%q is not a whole number", text)
		}
		return n, nil
	}
}

// list reads a list in the form of the environment: texts between commas, or
// YAML in brackets, which alone can hold what is not text.
func list(text string, element reflect.Type) (any, error) {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return []any{}, nil
	case strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]"):
		var values []any
		if err := yaml.Unmarshal([]byte(text), &values); err != nil {
			return nil, fmt.Errorf("read the list in brackets: %w", err)
		}
		return values, nil
	case element.Kind() != reflect.String && element != block:
		return nil, fmt.Errorf("want a list in brackets, such as [{name: erp.example, addresses: [10.20.0.7]}], not %q", text)
	}
	var values []any
	for value := range strings.SplitSeq(text, ",") {
		values = append(values, strings.TrimSpace(value))
	}
	return values, nil
}
