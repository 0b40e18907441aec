package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newUndrainCommand(g *globals) *cobra.Command {
	var vip string
	command := &cobra.Command{
		Use:   "undrain",
		Short: "Let this node hold VIPs again after a drain",
		Long: "Let this node hold VIPs again after a drain. It takes none from a healthy owner: it is a\n" +
			"backup again. Undraining a node that is not drained changes nothing.",
		RunE: func(c *cobra.Command, _ []string) error {
			client := g.client()
			defer client.Close()
			if err := client.Undrain(c.Context(), vip); err != nil {
				return err
			}
			what := "VIPs"
			if vip != "" {
				what = vip
			}
			_, err := fmt.Fprintf(g.stdout, "This node may hold %s again; 'vipd status' shows who does.\n", what)
			return err
		},
	}
	command.Flags().StringVar(&vip, "vip", "", "the VIP with this `name` only (default: all)")
	return command
}
