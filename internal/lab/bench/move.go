package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/vipd/vipd/internal/lab/measure"
	"github.com/vipd/vipd/internal/lab/scene"
)

const (
	// moveStreams are open while the VIP moves, with a line each moveTick: more
	// would load a small machine so much that it, and not the move, is measured.
	moveStreams = 100
	moveTick    = 20 * time.Millisecond
	// quietSpan is how long the client is watched while nothing moves.
	quietSpan = 5 * time.Second
)

// MoveResult is what clients saw of one subject's planned moves.
type MoveResult struct {
	Subject Subject
	// Quiet is the client's report of a span in which nothing moved.
	Quiet measure.Report
	// Moves are those that worked.
	Moves  []Move
	Errors []error
	// Carried and Direct are the throughputs of connections that are passed on,
	// and of those that are not, in bytes a second; none if nothing is passed on.
	Carried, Direct []float64
}

// Move is one planned move.
type Move struct {
	// Served is the time from the order, `vipd drain`, to the first request that
	// the successor answered.
	Served time.Duration
	// Seen is from the order until streams would have been known to be silent.
	Seen measure.Report
}

// Moves measures planned moves, and what the connections that live on get. As
// with Run a move that fails is recorded; an error means that a subject could
// not be set up.
func Moves(ctx context.Context, opts Options) ([]MoveResult, error) {
	results := make([]MoveResult, 0, len(opts.Subjects))
	for _, subject := range opts.Subjects {
		b := &bench{opts: opts, subject: subject}
		r, err := b.moves(ctx)
		if err == nil && subject.Vipd {
			r.Carried, r.Direct, err = b.throughputs(ctx)
		}
		if err := errors.Join(err, b.close()); err != nil {
			return results, fmt.Errorf("measure moves of %s: %w", subject.Daemon.Name(), err)
		}
		results = append(results, r)
	}
	return results, nil
}

// moves sets the scene anew for each move: all streams are the owner's then.
func (b *bench) moves(ctx context.Context) (MoveResult, error) {
	r := MoveResult{Subject: b.subject}
	for run := range b.opts.Runs {
		if err := b.openWith(ctx, scene.Options{Streams: moveStreams, Tick: moveTick}); err != nil {
			return r, err
		}
		if run == 0 {
			var err error
			if r.Quiet, err = b.quiet(ctx); err != nil {
				return r, err
			}
		}
		outcome, err := b.try(ctx, scene.Drain())
		switch {
		case err == nil:
			r.Moves = append(r.Moves, Move{Served: outcome.Served.Sub(outcome.At), Seen: outcome.Seen})
		case ctx.Err() != nil:
			return r, err
		default:
			r.Errors = append(r.Errors, err)
		}
		b.progress("move %d of %d: %s", run+1, b.opts.Runs, moveCells(r)[0])
		if err := b.close(); err != nil {
			return r, err
		}
	}
	return r, nil
}

// quiet watches the client while nothing happens.
func (b *bench) quiet(ctx context.Context) (measure.Report, error) {
	from := time.Now()
	select {
	case <-ctx.Done():
		return measure.Report{}, ctx.Err()
	case <-time.After(quietSpan):
	}
	return b.scene.Client.Report(ctx, from, time.Now())
}

// PrintMoves writes the results as Print does.
func PrintMoves(w io.Writer, results []MoveResult) error {
	rows := [][]string{{
		"planned move, median/max", "order to successor, ms", "longest stall of a stream, ms",
		"p99 of requests, ms (quiet)", "failed requests", fmt.Sprintf("broken of %d streams", moveStreams), "throughput carried/direct",
	}}
	for _, r := range results {
		rows = append(rows, append([]string{r.Subject.Daemon.Name()}, moveCells(r)...))
	}
	if _, err := io.WriteString(w, table(rows)+"\n"); err != nil {
		return err
	}
	for _, t := range judgeMoves(results) {
		if _, err := io.WriteString(w, t.String()); err != nil {
			return err
		}
	}
	return nil
}

// moveCells are a subject's numbers in the order of the header.
func moveCells(r MoveResult) []string {
	if len(r.Moves) == 0 {
		return []string{"none worked", "", "", "", "", ""}
	}
	served := pair(each(r.Moves, func(m Move) time.Duration { return m.Served }))
	if n := len(r.Errors); n > 0 {
		served += fmt.Sprintf(" (%d failed)", n)
	}
	stall := "-"
	allBroke := func(m Move) bool { return m.Seen.Broken == m.Seen.Streams }
	if lived := slices.DeleteFunc(slices.Clone(r.Moves), allBroke); len(lived) > 0 {
		stall = pair(each(lived, stallOf))
	}
	throughput := "-"
	if len(r.Direct) > 0 {
		throughput = fmt.Sprintf("%.1f/%.1f Gbit/s", gigabits(middle(r.Carried)), gigabits(middle(r.Direct)))
	}
	return []string{
		served, stall,
		fmt.Sprintf("%s (%s)", fine(median(each(r.Moves, p99Of))), fine(r.Quiet.P99)),
		most(r.Moves, func(m Move) int { return m.Seen.Failed }),
		most(r.Moves, func(m Move) int { return m.Seen.Broken }),
		throughput,
	}
}

func stallOf(m Move) time.Duration { return m.Seen.Stall }
func p99Of(m Move) time.Duration   { return m.Seen.P99 }

func each[T any](moves []Move, of func(Move) T) []T {
	all := make([]T, len(moves))
	for i, m := range moves {
		all[i] = of(m)
	}
	return all
}

// pair is median and maximum.
func pair(all []time.Duration) string {
	return fmt.Sprintf("%s/%s", whole(median(all)), whole(slices.Max(all)))
}

// most is the worst of a count.
func most(moves []Move, of func(Move) int) string {
	return strconv.Itoa(slices.Max(each(moves, of)))
}

// fine prints milliseconds with a tenth.
func fine(d time.Duration) string {
	return fmt.Sprintf("%.1f", float64(d)/float64(time.Millisecond))
}

func gigabits(bytesPerSecond float64) float64 { return bytesPerSecond * 8 / 1e9 }

// middle is median for rates: the lower of two middle ones.
func middle(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(all))[(len(all)-1)/2]
}
