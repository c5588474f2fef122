package main

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/signet-egress/signet/internal/doctor"
)

// TestDoctorReport is how findings are shown; what is found is tested where it
// is found, and with the real clients in test/containment.
func TestDoctorReport(t *testing.T) {
	const rules = "HTTP_PROXY alone is cooperation, not containment: load egress rules"
	ill := &doctor.Report{Proxy: "http://127.0.0.1:3128", NotInstalled: []string{"Deno"}, Checks: []doctor.Check{
		{Group: "proxy", Name: "reachable", Status: doctor.Green, Detail: "http://127.0.0.1:3128 answers as Signet: HEL_ADDRESS_DENIED for http://192.0.2.1/"},
		{Group: "clients", Name: "curl", Status: doctor.Green, Detail: "http and https go to the proxy"},
		{Group: "clients", Name: "Node", Status: doctor.Red, Detail: "does not go to the proxy: \x1b[31mconnect <ECONNREFUSED>", Fix: "set NODE_USE_ENV_PROXY=1"},
		{Group: "ways out", Name: "UDP to 192.0.2.1:53", Status: doctor.Yellow, Detail: "not refused here: an empty packet was sent", Fix: rules},
		{Group: "ways out", Name: "UDP to 192.0.2.1:443", Status: doctor.Yellow, Detail: "not refused here: an empty packet was sent", Fix: rules},
	}}
	well := &doctor.Report{Proxy: ill.Proxy, NotInstalled: []string{}, Checks: ill.Checks[:2]}
	for name, r := range map[string]*doctor.Report{"ill": ill, "well": well} {
		for _, asJSON := range []bool{false, true} {
			var out bytes.Buffer
			err := showReport(&out, r, asJSON)
			var coded *exitError
			if errors.As(err, &coded) {
				fmt.Fprintln(&out, "exit status", coded.code)
			} else if err != nil {
				t.Fatal(err)
			}
			golden(t, "doctor/"+name+map[bool]string{true: "-json"}[asJSON], out.String())
		}
	}
}

func TestDoctorRefusesFlags(t *testing.T) {
	for name, args := range map[string][]string{
		"proxy": {"--proxy", "socks5://127.0.0.1:3128"}, "ca": {"--ca", "testdata/doctor/nowhere.pem"}, "probe": {"--probe", "api.example.com"},
		"direct": {"--direct", "example.com:443"}, "timeout": {"--timeout", "1ms"}, "argument": {"https://api.example.com/"}, "flag": {"--prob=x"},
	} {
		golden(t, "doctor/unusable-"+name, signet(t, append([]string{"doctor"}, args...)...))
	}
}
