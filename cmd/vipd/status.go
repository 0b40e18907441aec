package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func newStatusCommand(g *globals) *cobra.Command {
	var asJSON, watch bool
	command := &cobra.Command{
		Use:   "status",
		Short: "Show this node's view: each VIP's state, owner, reason, health and election",
		Long: "Show this node's view: each VIP's state, owner, reason, health and election.\n\n" +
			"With --watch a terminal shows it anew at each change and each second; elsewhere each\n" +
			"change is one line. With --watch --json each line is an object: first each VIP's\n" +
			"present state (from equals to), then each change.",
		RunE: func(c *cobra.Command, _ []string) error {
			client := g.client()
			defer client.Close()
			switch {
			case watch && asJSON:
				return g.watchJSON(c.Context(), client)
			case watch && isTerminal(g.stdout):
				return g.watchScreen(c.Context(), client)
			case watch:
				return g.watchLines(c.Context(), client)
			}
			status, err := client.Status(c.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(g.stdout, status)
			}
			_, err = io.WriteString(g.stdout, g.statusPage(status))
			return err
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	command.Flags().BoolVar(&watch, "watch", false, "go on showing changes until interrupted")
	return command
}

// writeJSON writes v as a document for people and programs.
func writeJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}

// writeLine writes v as one line of JSON.
func writeLine(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}
