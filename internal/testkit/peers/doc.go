// Package peers holds the real other ends that tests and the demo put around a
// sidecar: a certificate authority, HTTP upstreams, a DNS server and a listener
// that must never be reached. They serve on loopback unless they are given
// another address.
//
// Nothing here imports testing, so that the demo can be built from the same
// parts; package testkit ties them to a test's life.
package peers
