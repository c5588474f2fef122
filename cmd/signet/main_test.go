package main

import "testing"

// Arguments that cannot be used have the exit status of unusable input.
func TestUnusableArguments(t *testing.T) {
	for _, args := range [][]string{{"nope"}, {"run", "extra"}, {"run", "--bogus"}, {"config", "print", "extra"}, {"verify"}} {
		if status := run(t.Context(), args); status != exitUnusable {
			t.Errorf("signet %v: exit status %d", args, status)
		}
	}
}
