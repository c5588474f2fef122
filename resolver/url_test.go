package resolver

import "testing"

// FuzzUpstream: what is taken for an upstream is shown in a form that means the
// same.
func FuzzUpstream(f *testing.F) {
	for _, s := range []string{
		"udp://10.0.0.10:53", "udp://fd00::1", "tls://9.9.9.9?name=dns.quad9.net", "tls://[2620:fe::fe]:8853?name=a.",
		"https://9.9.9.9/dns-query?name=dns.quad9.net", "https://9.9.9.9//a/../b?name=9.9.9.9", "https://[fe80::1%eth0]/",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := parseUpstream(s, nil)
		if err != nil {
			return
		}
		defer u.close()
		again, err := parseUpstream(u.String(), nil)
		if err != nil || again.String() != u.String() {
			t.Errorf("%q is shown as %q, which is %v, %v", s, u, again, err)
			return
		}
		again.close()
	})
}
