package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/signet-egress/signet/internal/config"
)

// configFiles are the files that a command's configuration comes from.
type configFiles struct{ file, env string }

func (f *configFiles) register(cmd *cobra.Command, usage string) {
	cmd.Flags().StringVarP(&f.file, "config", "c", "", usage)
	cmd.Flags().StringVar(&f.env, "env-file", "", "file of SIGNET_ variables (NAME=value), below the environment and above the configuration file")
}

// sources adds the flags that stand for a configuration key.
func (f *configFiles) sources(cmd *cobra.Command, keys map[string]string) config.Sources {
	return config.Sources{File: f.file, EnvFile: f.env, Flags: changedFlags(cmd, keys)}
}

func newConfigCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "config", Short: "Show the configuration", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return exit(exitUnusable, errors.New("config needs a command: signet config print"))
		},
	}
	cmd.AddCommand(newConfigPrintCommand())
	return cmd
}

func newConfigPrintCommand() *cobra.Command {
	var files configFiles
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "print",
		Short: "Print the configuration as it counts, and where each value comes from",
		Long: `Print every setting as signet run would have it with the same file, environment
and flags, and where it comes from: flag, environment, a line of the .env file or
of the configuration file, or default. What is printed is a configuration file;
only the digests of API keys are withheld.

Exit status: 2 if the configuration cannot be used.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			effective, err := files.sources(cmd, runFlags).Effective()
			if err != nil {
				return exit(exitUnusable, err)
			}
			if asJSON {
				return effective.WriteJSON(cmd.OutOrStdout())
			}
			return effective.WriteYAML(cmd.OutOrStdout())
		},
	}
	files.register(cmd, "configuration file (YAML)")
	registerRunFlags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print an array of {key, value, source}")
	return cmd
}
