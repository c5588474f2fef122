package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// variable is the environment's name for a flag.
func variable(flag string) string {
	switch flag { // the names that everybody knows
	case "database":
		return "DATABASE_URL"
	case "redis":
		return "REDIS_URL"
	}
	return "SIGNET_COLLECTOR_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// fromEnvironment gives the flags that were not given the values of their
// variables. One that is empty counts as not set.
func fromEnvironment(cmd *cobra.Command, _ []string) error {
	var wrong []error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		value := os.Getenv(variable(f.Name))
		if f.Changed || value == "" {
			return
		}
		if err := cmd.Flags().Set(f.Name, value); err != nil {
			wrong = append(wrong, fmt.Errorf("environment %s: %w", variable(f.Name), err))
		}
	})
	if len(wrong) > 0 {
		return &unusableError{errors.Join(wrong...)}
	}
	return nil
}
