package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vipd/vipd/agent"
)

// timeLayout shows milliseconds, in which failovers are measured.
const timeLayout = "2006-01-02 15:04:05.000"

func newHistoryCommand(g *globals) *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "history",
		Short: "Show the last changes of state, with reason and duration, oldest first",
		RunE: func(c *cobra.Command, _ []string) error {
			client := g.client()
			defer client.Close()
			entries, err := client.History(c.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(g.stdout, entries)
			}
			_, err = io.WriteString(g.stdout, g.historyPage(entries))
			return err
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return command
}

func (g *globals) historyPage(entries []agent.Entry) string {
	if len(entries) == 0 {
		return "Nothing has changed since the daemon started.\n"
	}
	var text strings.Builder
	paint, width := g.style(g.stdout), widthOf(g.stdout)
	fmt.Fprintf(&text, "Times are in %s.\n", zoneName(g.now().In(g.zone)))
	for _, e := range entries {
		change := fmt.Sprintf("%s -> %s after", e.From, paint.bold(string(e.To)))
		if e.From == e.To {
			change = string(e.To) + " for"
		}
		fmt.Fprintf(&text, "%s  %s  %s %s\n", e.Time.In(g.zone).Format(timeLayout), paint.bold(e.VIP), change, spell(e.DurationSeconds))
		for _, line := range wrap(cause(e), width-4) {
			fmt.Fprintln(&text, "   ", line)
		}
	}
	return text.String()
}

// zoneName is the zone that a time is in: "UTC", else as in "CET, UTC+01:00".
func zoneName(t time.Time) string {
	if _, offset := t.Zone(); offset == 0 {
		return "UTC"
	}
	return t.Format("MST, UTC-07:00")
}

// cause is why a change happened and who owns the VIP since.
func cause(e agent.Entry) string {
	text := sentence(string(e.Reason), e.Detail)
	switch {
	case e.To == agent.StateOwner:
		return text + "; this node owns it"
	case e.Owner == "":
		return text + "; no owner is heard"
	}
	return text + "; owner " + e.Owner
}

// spell is a duration in seconds, exact while it is short.
func spell(seconds float64) string {
	if seconds < 60 {
		return brief(seconds)
	}
	return span(time.Duration(seconds * float64(time.Second)))
}
