package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/viper"
)

// KeyError is one thing that is wrong with a configuration.
type KeyError struct {
	Key    string // such as timeouts.dial, or resolver.hosts[0].name; "" for the file as a whole
	Source string // FILE:LINE, flag --timeouts-dial, environment SIGNET_TIMEOUTS_DIAL, or default
	Err    error

	line int // in the file; 0 for other sources
}

func (e *KeyError) Error() string {
	if e.Key == "" {
		return fmt.Sprintf("%s: %v", e.Source, e.Err)
	}
	return fmt.Sprintf("%s: %s: %v", e.Source, e.Key, e.Err)
}

func (e *KeyError) Unwrap() error { return e.Err }

// Sources are where a configuration comes from, besides the environment and the
// defaults.
type Sources struct {
	File    string         // signet.yaml; "" for none
	EnvFile string         // a .env file; "" for none
	Flags   map[string]any // values of the flags that were set, by key
}

// Load is Sources.Load without a .env file.
func Load(path string, set map[string]any) (*Config, error) {
	return Sources{File: path, Flags: set}.Load()
}

// Load reads the configuration: flags over the environment over the .env file
// over the file over the defaults.
//
// Relative paths in the file are relative to the file's directory, so that it
// means the same from wherever it is named; in flags, in the environment and in a
// .env file they are relative to the working directory. An environment variable
// that is empty counts as not set, and one that names no key is ignored, since
// Kubernetes adds SIGNET_ variables of its own for a service of that name.
//
// The error joins everything that is wrong, each as a *KeyError; only a file
// that cannot be read or is not in its format is reported alone.
func (s Sources) Load() (*Config, error) {
	l, err := s.open()
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	return l.load()
}

func (s Sources) open() (*loader, error) {
	l := &loader{file: &file{}, set: s.Flags}
	if s.File != "" {
		data, err := os.ReadFile(s.File)
		if err != nil {
			return nil, err
		}
		if l.file, err = parse(s.File, data); err != nil {
			return nil, err
		}
	}
	if s.EnvFile == "" {
		return l, nil
	}
	var err error
	l.env, l.problems, err = readEnvFile(s.EnvFile)
	return l, err
}

// loader is one run of Load.
type loader struct {
	file     *file
	env      *envFile // nil: none
	set      map[string]any
	unread   []string // keys whose value could not be decoded: nothing more is said of them
	problems []*KeyError
}

func (l *loader) load() (*Config, error) {
	l.problems = append(l.problems, l.file.problems...)
	c := new(Config)
	if err := l.layers().UnmarshalExact(c, viper.DecodeHook(hook)); err != nil {
		l.undecoded(err)
	}
	l.anchor(c)
	l.check(c)
	if len(l.problems) > 0 {
		return nil, l.err()
	}
	derive(c)
	return c, nil
}

// layers is a fresh viper with every source in it.
func (l *loader) layers() *viper.Viper {
	v := viper.New()
	known := make(map[string]bool)
	for _, k := range keys() {
		known[k.path] = true
		v.SetDefault(k.path, k.tag.Get("default"))
		if value, _ := l.variable(k); value != "" {
			v.Set(k.path, value)
		}
	}
	// Errors only where a key has the delimiter in it, which the file's walk refused.
	_ = v.MergeConfigMap(l.file.settings)
	for name, value := range l.set {
		if !known[name] {
			l.problems = append(l.problems, &KeyError{Key: name, Source: "flag", Err: errors.New("is not a known key")})
			continue
		}
		v.Set(name, value)
	}
	return v
}

// undecoded takes the decoder's error apart: one error a key. The decoder joins
// errors at each level of the configuration and names the key at each leaf.
func (l *loader) undecoded(err error) {
	switch e := err.(type) { //nolint:errorlint // this is the walk down the tree that errors.As would cut short
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			l.undecoded(one)
		}
	case interface{ Name() string }:
		l.unread = append(l.unread, e.Name())
		l.fault(e.Name(), errors.Unwrap(err))
	default:
		if inner := errors.Unwrap(err); inner != nil {
			l.undecoded(inner)
			return
		}
		l.fault("", err)
	}
}

// want records err against a key, unless its value could not even be decoded.
func (l *loader) want(key string, err error) {
	if err == nil || slices.ContainsFunc(l.unread, func(unread string) bool {
		return strings.HasPrefix(unread, key) || strings.HasPrefix(key, unread)
	}) {
		return
	}
	l.fault(key, err)
}

func (l *loader) fault(key string, err error) {
	source, line := l.source(key)
	l.problems = append(l.problems, &KeyError{Key: key, Source: source, Err: err, line: line})
}

// err is everything that is wrong, the file's part in the order of its lines.
func (l *loader) err() error {
	slices.SortStableFunc(l.problems, func(a, b *KeyError) int { return a.line - b.line })
	errs := make([]error, len(l.problems))
	for i, problem := range l.problems {
		errs[i] = problem
	}
	return errors.Join(errs...)
}

// variable is the environment's value of a setting, and where it stands: in the
// process's environment, or else in the .env file.
func (l *loader) variable(k key) (value, source string) {
	if value := os.Getenv(k.env()); value != "" {
		return value, "environment " + k.env()
	}
	return l.env.lookup(k.env())
}

// overFile is what a setting's value comes from where the file does not count;
// "" where it does.
func (l *loader) overFile(k key) string {
	if _, ok := l.set[k.path]; ok {
		return "flag --" + strings.NewReplacer(".", "-", "_", "-").Replace(k.path)
	}
	_, source := l.variable(k)
	return source
}

// source is where a key's value comes from, with the line if that is the file.
func (l *loader) source(name string) (string, int) {
	setting, _, _ := strings.Cut(name, "[")
	if source := l.overFile(key{path: setting}); source != "" {
		return source, 0
	}
	if line, ok := l.file.line(name); ok {
		return fmt.Sprintf("%s:%d", l.file.path, line), line
	}
	return "default", 0
}

// anchor makes the file's relative paths independent of the working directory.
func (l *loader) anchor(c *Config) {
	anchored := func(path string) string {
		if path == "" || path == off || filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(filepath.Dir(l.file.path), path)
	}
	for _, k := range keys() {
		if _, line := l.source(k.path); line == 0 || !strings.Contains(k.tag.Get("unit"), "path") {
			continue
		}
		switch v := k.in(c); v.Kind() {
		case reflect.String:
			v.SetString(anchored(v.String()))
		case reflect.Slice:
			for i := range v.Len() {
				v.Index(i).SetString(anchored(v.Index(i).String()))
			}
		}
	}
}

// derive gives the values that depend on others, after all were checked.
func derive(c *Config) {
	switch c.AdminSocket {
	case "":
		c.AdminSocket = defaultSocket(c)
	case off:
		c.AdminSocket = ""
	}
	if c.MetricsListen == off {
		c.MetricsListen = ""
	}
}

func defaultSocket(c *Config) string { return filepath.Join(c.Data, "admin.sock") }

// off is what disables a listener.
const off = "off"
