package policy

import "testing"

func TestPathRules(t *testing.T) {
	for _, tt := range []struct {
		pattern string
		yes, no []string
	}{
		{
			"/v1/**",
			[]string{
				"/v1/", "/v1/a", "/v1/a/b", "/v1/a/", "/v1/%61", "/%76%31/a", "/v1/a%20b", "/v1/100%25", "/v1/a:b", "/v1/ü", "/v1/%C3%BC",
				"/v1/./a", "/v1/a/..", "/v1/a/../b", "/v1/.well-known", "/v1/...", "/v1/a..b", "/v1/%3Fa", "/v1/%23", "/v1/*", "/v1/**",
			},
			[]string{
				"", "/", "/v1", "/v2/", "/V1/a", "/v1x/a", "/av1/a", "/x/v1/a",
				"/v1/..", "/v1/../", "/v1/../admin", "/v1/a/../../admin", "/v1/./../admin", "/../v1/a", "/x/../v1/a", "/./v1/a",
				"/v1/..%2fadmin", "/v1/..%2Fadmin", "/v1/%2e%2e/admin", "/v1/%2E%2e/admin", "/v1/%2e", "/v1/.%2e/admin", "/v1/%5c..%5cadmin", "/v1/%5Ca", "/v1/a%2fb",
				"/v1/%252e%252e/admin", "/v1/%25%32%65", "/v1/%252f", "/v1/%2541",
				"//v1/a", "/v1//a", "/v1/a//", "/v1/;a", "/v1/a;b=c", "/v1/..;/admin", "/v1/%3ba", "/v1/%3B",
				"/v1/%00", "/v1/a%0d%0aHost:x", "/v1/%7f", "/v1/%ff", "/v1/\xff", "/v1/%c0%ae%c0%ae/admin", "/v1/%c0%af", "/v1/%ed%a0%80",
			},
		},
		{"/**", []string{"/", "/a", "/a/b", "/."}, []string{"//", "/a//b", "/%2e"}},
		{"/", []string{"/"}, []string{"/a", "//", "/..", "/."}},
		{"/v1/chat", []string{"/v1/chat", "/v1/ch%61t"}, []string{"/v1/chat/", "/v1/chats", "/v1", "/v1/Chat", "/v1/x/../chat", "/v1/chat/../chat"}},
		{"/v1/*", []string{"/v1/a", "/v1/a.b"}, []string{"/v1/", "/v1", "/v1/a/", "/v1/a/b", "/v1/..", "/v1/."}},
		{"/*/info", []string{"/a/info", "/aa/info"}, []string{"/info", "//info", "/a/b/info", "/a/info/", "/../info", "/a/../info"}},
		{"/v1/models/*:generate", []string{"/v1/models/m:generate", "/v1/models/m:generate:generate"}, []string{"/v1/models/:generate", "/v1/models/m:generateX", "/v1/models/a/b:generate", "/v1/models/m"}},
		{"/a*b*c", []string{"/a1b2c", "/a1b2b3c", "/abbbc", "/a1bb2cc"}, []string{"/abc", "/a1bc", "/a1b2", "/a1/b2c", "/a1b/c"}},
		{"/*a/b", []string{"/xa/b", "/xaa/b", "/aaa/b"}, []string{"/a/b", "/xa/c", "/xab/b"}},
		{"/*/*/git/**", []string{"/o/r/git/", "/o/r/git/x/y"}, []string{"/o/git/x", "/o/r/git", "/o/r/x/git/", "/o/r/../git/x"}},
		{"/*.git/**", []string{"/a.git/", "/a.git/x", "/a.git.git/x"}, []string{"/.git/x", "/a.git", "/a/b.git/x"}},
		{"/ü/*", []string{"/ü/a", "/%C3%BC/a"}, []string{"/u/a"}},
	} {
		pattern, problem := parsePathPattern(tt.pattern)
		if problem != "" {
			t.Errorf("parsePathPattern(%q): %s", tt.pattern, problem)
			continue
		}
		match := func(path string) bool {
			reading, err := readPath(path)
			return err == nil && pattern.matches(reading)
		}
		for _, path := range tt.yes {
			if !match(path) {
				t.Errorf("%q does not match %q", tt.pattern, path)
			}
		}
		for _, path := range tt.no {
			if match(path) {
				t.Errorf("%q matches %q", tt.pattern, path)
			}
		}
	}
}

func TestPathPatternsRefused(t *testing.T) {
	for _, s := range []string{
		"v1", "*", "**", "/v1**", "/v1/**/x", "/**/x", "/***", "/v1/a**b", "/v1?x=1", "/v1#a", "/v1/%41", "/v1//x", "/v1/../x", "/v1/./x", "/..", "/v1/;x",
		"/v1/\\x", "/v1/\x00", "/v1/\xff", "//**", "/../**",
	} {
		if _, problem := parsePathPattern(s); problem == "" {
			t.Errorf("parsePathPattern(%q) accepts", s)
		}
	}
}

func TestResolveDots(t *testing.T) {
	for in, want := range map[string]string{
		"/": "/", "/a": "/a", "/.": "/", "/..": "/", "/./": "/", "/../": "/", "/a/.": "/a/", "/a/..": "/", "/a/./b": "/a/b", "/a/../b": "/b",
		"/a/b/..": "/a/", "/a/b/../": "/a/", "/a/b/../..": "/", "/../../a": "/a", "/a/...": "/a/...", "/.a": "/.a", "/a./b": "/a./b", "/a/../../b/./c/..": "/b/",
	} {
		if got := resolveDots(in); got != want {
			t.Errorf("resolveDots(%q) = %q, want %q", in, got, want)
		}
	}
}
