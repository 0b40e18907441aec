package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newReloadCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "reload",
		Short: "Make the daemon read its configuration anew",
		Long: "Make the daemon read its configuration anew, as SIGHUP does. A VIP that did not change is\n" +
			"not touched. If the new configuration is bad, the old one stays in force, the mistakes are\n" +
			"told with file, line and key, and the exit code is 2.",
		RunE: func(c *cobra.Command, _ []string) error {
			client := g.client()
			defer client.Close()
			if err := client.Reload(c.Context()); err != nil {
				return err
			}
			_, err := fmt.Fprintln(g.stdout, "The configuration was read and is in force.")
			return err
		},
	}
}
