package main

import "github.com/spf13/cobra"

func newMigrateCommand() *cobra.Command {
	var s settings
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the tables of the database up to date",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			kept, err := s.open(cmd.Context())
			if err != nil {
				return err
			}
			return kept.Close()
		},
	}
	s.register(cmd)
	return cmd
}
