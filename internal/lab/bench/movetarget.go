package bench

import (
	"fmt"
	"slices"
	"time"
)

// Bounds of the targets for planned moves.
const (
	longestStall    = 50 * time.Millisecond
	orderToServed   = 50 * time.Millisecond
	p99Growth       = 2
	carriedOfDirect = 0.85
)

// judgeMoves holds vipd's moves against their targets.
func judgeMoves(results []MoveResult) []target {
	var targets []target
	for _, r := range results {
		if r.Subject.Vipd {
			targets = append(targets, r.targets()...)
		}
	}
	return targets
}

func (r MoveResult) targets() []target {
	name := r.Subject.Daemon.Name()
	worked := len(r.Moves) > 0 && len(r.Errors) == 0
	lost := 0
	for _, m := range r.Moves {
		lost += m.Seen.Failed + m.Seen.Broken
	}
	stalls, p99 := each(r.Moves, stallOf), median(each(r.Moves, p99Of))
	targets := []target{{
		text: name + ": a planned move loses no request and no stream",
		got:  fmt.Sprintf("%d lost in %d moves", lost, len(r.Moves)),
		met:  worked && lost == 0,
	}, {
		text: fmt.Sprintf("%s: longest stall of a stream, median at most %s ms", name, whole(longestStall)),
		got:  whole(median(stalls)) + " ms",
		met:  worked && median(stalls) <= longestStall,
	}, {
		text: fmt.Sprintf("%s: p99 of requests during a move at most %d times the quiet one", name, p99Growth),
		got:  fmt.Sprintf("%s against %s ms", fine(p99), fine(r.Quiet.P99)),
		met:  worked && p99 <= p99Growth*r.Quiet.P99,
	}, {
		text: fmt.Sprintf("%s: throughput of carried connections at least %.0f %% of direct ones", name, 100*carriedOfDirect),
		got:  fmt.Sprintf("%.0f %%", 100*middle(r.Carried)/max(1, middle(r.Direct))),
		met:  len(r.Direct) > 0 && middle(r.Carried) >= carriedOfDirect*middle(r.Direct),
	}}
	if r.Subject.Interval == 0 {
		served := each(r.Moves, func(m Move) time.Duration { return m.Served })
		targets = slices.Insert(targets, 1, target{
			text: fmt.Sprintf("%s: from vipd drain to the successor serving, median at most %s ms", name, whole(orderToServed)),
			got:  whole(median(served)) + " ms",
			met:  worked && median(served) <= orderToServed,
		})
	}
	return targets
}
