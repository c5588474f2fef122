// Package containment holds the test of the egress rules of docs/kubernetes.md,
// as they stand there: in network namespaces of its own it puts an agent and
// Signet into one, all the rest of the world into another, and counts there what
// arrives.
//
// It needs Linux, root, veth and nftables, and is skipped where any is missing.
package containment
