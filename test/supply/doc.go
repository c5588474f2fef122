// Package supply tests what the supply chain is checked with.
package supply
