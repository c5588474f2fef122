// Package e2e holds the tests of the whole process: the signet binary as users
// get it, real clients before it, real servers behind it, and the evidence that
// it leaves, verified as a third party would.
//
// Two flags of go test make its long tests long: -e2e.bytes, the body size of the
// memory test, and -e2e.kills, the rounds of the kill test. `make torture` runs
// both at full length.
package e2e
