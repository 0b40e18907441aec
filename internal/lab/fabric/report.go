package fabric

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vipd/vipd/internal/lab/bench"
)

const (
	// mostMemory is what vipd may need with BGP, in bytes.
	mostMemory = 60e6
	// restartDue is how soon BGP is to be back after the speaker was killed.
	restartDue = 3 * time.Second
)

// Print writes the results as a table in Markdown, and below it which targets
// vipd missed.
func Print(w io.Writer, results []Result) error {
	rows := [][]string{{
		"one of three hosts is cut off silently; ms, median/max", "outage", "detection + " + tolerance.String(),
		"router: detected", "its route changed", "host: detected", "path back after BFD", "false alarms",
		"planned leave: requests failed", "broken by rehash: requests, streams", "return: requests failed", "broken by rehash: requests, streams", "RSS, MB: at first, in the end",
		"speaker killed: paths back",
	}}
	var errs []error
	var targets strings.Builder
	for _, r := range results {
		if r.Err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", r.Subject, r.Err))
			continue
		}
		rows = append(rows, r.row())
		if !r.Subject.FRR {
			r.targets(&targets)
		}
	}
	_, err := io.WriteString(w, bench.Table(rows)+"\n"+targets.String())
	return errors.Join(append(errs, err)...)
}

func (r Result) row() []string {
	return []string{
		r.Subject.String(),
		r.spread(func(c Cut) time.Duration { return c.Outage }),
		strconv.FormatInt((r.Subject.detection() + tolerance).Milliseconds(), 10),
		r.spread(func(c Cut) time.Duration { return c.Detected }),
		r.spread(func(c Cut) time.Duration { return c.Rerouted }),
		r.spread(func(c Cut) time.Duration { return c.Noticed }),
		r.spread(func(c Cut) time.Duration { return c.Back }),
		strconv.Itoa(r.Alarms), strconv.Itoa(r.Left.Failed), r.Left.rehash(), strconv.Itoa(r.Joined.Failed), r.Joined.rehash(),
		fmt.Sprintf("%.1f, %.1f", float64(r.Memory)/1e6, float64(r.Worn)/1e6),
		spread(r.Restarts),
	}
}

func (l Loss) rehash() string { return fmt.Sprintf("%d, %d of %d", l.Rehashed, l.Broken, l.Streams) }

// spread is the median and the greatest of what is known of the cuts.
func (r Result) spread(of func(Cut) time.Duration) string {
	var known []time.Duration
	for _, c := range r.Cuts {
		if d := of(c); d > 0 {
			known = append(known, d)
		}
	}
	return spread(known)
}

// spread is the median and the greatest, in ms.
func spread(all []time.Duration) string {
	if len(all) == 0 {
		return "-"
	}
	all = slices.Sorted(slices.Values(all))
	return fmt.Sprintf("%d/%d", all[len(all)/2].Milliseconds(), all[len(all)-1].Milliseconds())
}

// targets writes what vipd was to reach, and whether it did. The router's way
// from detection to the change of its routes is not vipd's, so the outage is marked
// with it and without.
func (r Result) targets(w io.Writer) {
	whole, kept, noticed := true, true, true
	for _, c := range r.Cuts {
		whole = whole && c.Outage <= r.Subject.detection()+tolerance
		kept = kept && c.Outage <= c.due(r.Subject)
		noticed = noticed && c.Noticed <= r.Subject.detection()+tolerance
	}
	name := r.Subject.String()
	if r.Subject.BFD > 0 {
		io.WriteString(w, bench.Mark(whole, name+": outage at most detection + "+tolerance.String(), r.spread(func(c Cut) time.Duration { return c.Outage })))
		io.WriteString(w, bench.Mark(kept, name+": outage at most detection + "+tolerance.String()+" + the router's change of routes", r.spread(func(c Cut) time.Duration { return c.Outage })))
		io.WriteString(w, bench.Mark(noticed, name+": the host detects within detection + "+tolerance.String(), r.spread(func(c Cut) time.Duration { return c.Noticed })))
		io.WriteString(w, bench.Mark(r.Alarms == 0, name+": no false alarm", strconv.Itoa(r.Alarms)))
	}
	io.WriteString(w, bench.Mark(r.Left.Failed == 0, name+": no request fails in a planned leave", strconv.Itoa(r.Left.Failed)))
	io.WriteString(w, bench.Mark(r.Memory <= mostMemory, name+": at most 60 MB resident, daemon and speaker, when it has begun", fmt.Sprintf("%.1f MB", float64(r.Memory)/1e6)))
	io.WriteString(w, bench.Mark(r.Worn <= mostMemory, name+": the same after cuts and a planned leave", fmt.Sprintf("%.1f MB", float64(r.Worn)/1e6)))
	back := slices.Max(r.Restarts)
	io.WriteString(w, bench.Mark(back <= restartDue, name+": BGP is back within "+restartDue.String()+" after the speaker was killed", spread(r.Restarts)))
}
