package main

import (
	"github.com/spf13/cobra"

	"github.com/signet-egress/signet/internal/collector"
)

func newMigrateCommand() *cobra.Command {
	var s settings
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the tables of the database up to date",
		Long: `Bring the tables of the database up to date, and make the partitions of the
months to come. In PostgreSQL it needs a user that may create tables and, the
first time, the role signet_app; serve then needs no more than that role.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			url, err := s.url()
			if err != nil {
				return err
			}
			return collector.MigrateStore(cmd.Context(), url)
		},
	}
	s.register(cmd)
	return cmd
}
