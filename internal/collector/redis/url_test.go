package redis_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/signet-egress/signet/internal/collector/redis"
)

func TestParseURL(t *testing.T) {
	for _, good := range []string{
		"redis://cache.example", "redis://cache.example:6380/3", "redis://:secret@cache.example", "redis://user:se%2Fcret@[::1]:6379/0",
		"rediss://user:secret@cache.example", "unix:///run/redis.sock", "unix://user:secret@/run/redis.sock?db=2",
	} {
		if _, err := redis.ParseURL(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for bad, problem := range map[string]string{
		"":                                        "the scheme is none of",
		"cache.example:6379":                      "the scheme is none of",
		"hunter2@cache.example":                   "the scheme is none of",
		"http://:hunter2@cache.example":           "the scheme is none of",
		"redis:cache.example":                     "there is no host",
		"redis://:hunter2@":                       "there is no host",
		"redis://:6379/0":                         "there is no host",
		"redis://:hunter2@cache.example/zero":     "the database is not a number",
		"redis://:hunter2@cache.example/0/1":      "the database is not a number",
		"redis://:hunter2@cache.example/-1":       "the database is not a number",
		"redis://:hunter2/x@cache.example":        "it is not a URL",
		"redis://:hunter2@[::1/0":                 "it is not a URL",
		"redis://:hun#ter2@cache.example":         "it is not a URL",
		"redis://cache.example/0#hunter2":         "there is a # in it",
		"redis://cache.example?password=hunter2":  "there is a parameter other than db",
		"rediss://cache.example?skip_verify=true": "there is a parameter other than db",
		"unix://run/redis.sock":                   "there is no absolute path",
		"unix://:hunter2@":                        "there is no absolute path",
	} {
		_, err := redis.ParseURL(bad)
		wrong := new(redis.URLError)
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), problem) || !strings.Contains(err.Error(), "want redis://") {
			t.Errorf("%s: %v; want %q", bad, err, problem)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the password is in %q", bad, err)
		}
	}
}
