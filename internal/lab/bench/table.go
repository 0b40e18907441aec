package bench

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Print writes the results as a table in Markdown that reads well as plain
// text, and below it whether vipd meets its targets; one that is missed is an
// error that wraps [ErrMissed].
func Print(w io.Writer, results []Result) error {
	if len(results) == 0 {
		return nil
	}
	header := []string{"outage in ms, median/max"}
	for _, t := range results[0].Trials {
		header = append(header, t.Name)
	}
	if results[0].Idle != nil {
		header = append(header, "idle CPU, owner/backup", "RSS, owner/backup")
	}
	rows := [][]string{header}
	var late time.Duration
	for _, r := range results {
		row := []string{r.Subject.Daemon.Name()}
		for _, t := range r.Trials {
			row = append(row, cell(t))
			late = max(late, t.Late)
		}
		if r.Idle != nil {
			owner, backup := r.Idle.Owner, r.Idle.Backup
			row = append(row, fmt.Sprintf("%.2f/%.2f %%", owner.CPU, backup.CPU),
				fmt.Sprintf("%.1f/%.1f MB", float64(owner.RSS)/1e6, float64(backup.RSS)/1e6))
		}
		rows = append(rows, row)
	}
	var b strings.Builder
	b.WriteString(table(rows))
	b.WriteString("\n")
	if len(results[0].Trials) > 0 {
		fmt.Fprintf(&b, "The client opens a new connection each 2 ms; it was late by %s ms at most.\n\n", whole(late))
	}
	targets := judge(results)
	for _, t := range targets {
		b.WriteString(t.String())
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return err
	}
	return missed(targets)
}

// cell is a trial's runs in a few characters.
func cell(t TrialResult) string {
	text := "none worked"
	if len(t.Outages) > 0 {
		text = fmt.Sprintf("%s/%s", whole(median(t.Outages)), whole(slices.Max(t.Outages)))
	}
	if n := len(t.Errors); n > 0 {
		text += fmt.Sprintf(" (%d failed)", n)
	}
	return text
}

// whole prints milliseconds without a unit.
func whole(d time.Duration) string {
	return strconv.FormatInt(d.Round(time.Millisecond).Milliseconds(), 10)
}

// Table sets rows, the first being the header, as Markdown that reads well as
// plain text.
func Table(rows [][]string) string { return table(rows) }

// Mark is a target that was met or missed, as a line.
func Mark(met bool, text, got string) string { return target{text, got, met}.String() }

// table sets rows, the first being the header, with columns of equal width.
func table(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, text := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(text))
		}
	}
	var b strings.Builder
	for n, row := range rows {
		for i, text := range row {
			b.WriteString("| " + text + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(text)+1))
		}
		b.WriteString("|\n")
		if n > 0 {
			continue
		}
		for _, width := range widths {
			b.WriteString("|" + strings.Repeat("-", width+2))
		}
		b.WriteString("|\n")
	}
	return b.String()
}
