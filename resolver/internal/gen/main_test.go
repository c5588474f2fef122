package main

import (
	"bytes"
	"os"
	"testing"
)

func TestTableIsFresh(t *testing.T) {
	want, err := generate("../../data")
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../special_gen.go")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("resolver/special_gen.go is stale: run go generate ./resolver")
	}
}

func TestRegistrySurprises(t *testing.T) {
	const header = "Address Block,Name,RFC,Allocation Date,Termination Date,Source,Destination,Forwardable,Globally Reachable,Reserved-by-Protocol\n"
	for name, row := range map[string]string{
		"unknown name":            "198.51.100.0/24,Something New,[RFC1],2030-01,N/A,True,True,True,True,False\n",
		"public turned private":   "192.52.193.0/24,AMT,[RFC7450],2014-12,N/A,True,True,True,False,False\n",
		"private turned public":   "10.0.0.0/8,Private-Use,[RFC1918],1996-02,N/A,True,True,True,True,False\n",
		"reachability not stated": "192.52.193.0/24,AMT,[RFC7450],2014-12,N/A,True,True,True,N/A,False\n",
		"bad block":               "10.0.0.0/33,Private-Use,[RFC1918],1996-02,N/A,True,True,True,False,False\n",
	} {
		if _, err := readRegistry([]byte(header + row)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
