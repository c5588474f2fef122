package redis

import (
	"net/url"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// Settings say where Redis is and how long it is waited for.
type Settings struct {
	// Timeout bounds a question, a new connection included, and so what Redis can
	// add to a request; 40 ms by default.
	Timeout time.Duration
	// Rest is for how long a Redis that failed is left alone; 2 s by default.
	Rest time.Duration

	options *goredis.Options
}

const (
	defaultTimeout = 40 * time.Millisecond
	defaultRest    = 2 * time.Second
)

// URLError says what is wrong with a REDIS_URL, and how one is written. It does not
// repeat the one that is wrong, since that may hold a password.
type URLError struct{ Problem string }

func (e *URLError) Error() string {
	return "REDIS_URL: " + e.Problem +
		"; want redis://[[USER]:PASSWORD@]HOST[:PORT][/DB], the same with rediss:// for TLS, or unix://[[USER]:PASSWORD@]/SOCKET[?db=DB], with what is special in a password percent-encoded"
}

// ParseURL reads a REDIS_URL. The error is a *URLError.
func ParseURL(text string) (*Settings, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, &URLError{"it is not a URL"}
	}
	if problem := problemOf(u); problem != "" {
		return nil, &URLError{problem}
	}
	options, err := goredis.ParseURL(text)
	if err != nil || options.DB < 0 {
		return nil, &URLError{"the database is not a number"}
	}
	return &Settings{Timeout: defaultTimeout, Rest: defaultRest, options: options}, nil
}

// problemOf is what the library would not refuse, or would quote.
func problemOf(u *url.URL) string {
	onTCP := u.Scheme == "redis" || u.Scheme == "rediss"
	switch {
	case !onTCP && u.Scheme != "unix":
		return "the scheme is none of redis, rediss and unix"
	case onTCP && u.Hostname() == "":
		return "there is no host"
	case !onTCP && (u.Host != "" || len(u.Path) < 2):
		return "there is no absolute path of a socket"
	case u.Fragment != "":
		return "there is a # in it"
	}
	for name := range u.Query() {
		if name != "db" {
			return "there is a parameter other than db"
		}
	}
	return ""
}

// connection is how the library is told to behave: it asks once, and in time.
func (s *Settings) connection() *goredis.Options {
	o := *s.options
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = s.Timeout, s.Timeout, s.Timeout, s.Timeout
	o.ContextTimeoutEnabled = true
	o.MaxRetries, o.DialerRetries = -1, 1
	o.DisableIdentity = true
	o.MaintNotificationsConfig = noMaintenance()
	return &o
}
