package bench

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vipd/vipd/internal/lab/scene"
)

// target is one thing that vipd should reach.
type target struct {
	text string
	got  string
	met  bool
}

func (t target) String() string {
	mark := "✓"
	if !t.met {
		mark = "✗"
	}
	return fmt.Sprintf("%s %s: %s\n", mark, t.text, t.got)
}

// ErrMissed tells that vipd does not reach all of its targets.
var ErrMissed = errors.New("vipd misses")

// missed is nil if all targets are met.
func missed(targets []target) error {
	n := 0
	for _, t := range targets {
		if !t.met {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%w %d of %d targets", ErrMissed, n, len(targets))
}

// Bounds of the targets.
const (
	defaultCableCut = 350 * time.Millisecond
	fastInterval    = 10 * time.Millisecond
	fastCableCut    = 40 * time.Millisecond
	apiServerKilled = 100 * time.Millisecond
	mostRSS         = 40e6 // bytes
	mostIdleCPU     = 0.5  // percent of a core
)

// judge holds vipd's results against its targets and against the others'.
func judge(results []Result) []target {
	var targets []target
	for _, r := range results {
		if r.Subject.Vipd {
			targets = append(targets, r.absolute()...)
			targets = append(targets, r.relative(results)...)
		}
	}
	return targets
}

// absolute are the targets that concern vipd alone.
func (r Result) absolute() []target {
	name := r.Subject.Daemon.Name()
	var targets []target
	if r.Subject.Interval == 0 {
		targets = r.atMost(targets, scene.CableCut().Name, defaultCableCut)
	}
	if r.Subject.Interval == fastInterval {
		targets = r.atMost(targets, scene.CableCut().Name, fastCableCut)
	}
	targets = r.atMost(targets, scene.APIServerKilled().Name, apiServerKilled)
	if stop, ok := r.trial(scene.PlannedStop().Name); ok {
		targets = append(targets, target{
			text: name + ": at a planned stop no new connection fails after the announcement",
			got:  fmt.Sprintf("%d failed", stop.FailedAfterAnnounced),
			met:  stop.FailedAfterAnnounced == 0 && len(stop.Outages) > 0,
		})
	}
	if r.Idle == nil {
		return targets
	}
	worst := r.Idle.worst()
	if r.Subject.Interval == 0 {
		targets = append(targets, target{
			text: fmt.Sprintf("%s: idle CPU at most %.1f %%", name, mostIdleCPU),
			got:  fmt.Sprintf("%.2f %%", worst.CPU),
			met:  worst.CPU <= mostIdleCPU,
		})
	}
	return append(targets, target{
		text: fmt.Sprintf("%s: RSS at most %.0f MB", name, mostRSS/1e6),
		got:  fmt.Sprintf("%.1f MB", float64(worst.RSS)/1e6),
		met:  worst.RSS <= mostRSS,
	})
}

// relative are the comparisons with others at the same interval.
func (r Result) relative(all []Result) []target {
	var targets []target
	for _, other := range all {
		if other.Subject.Vipd || other.Subject.Interval != r.Subject.Interval {
			continue
		}
		for _, theirs := range other.Trials {
			ours, ok := r.trial(theirs.Name)
			if !ok || len(theirs.Outages) == 0 {
				continue
			}
			targets = append(targets, target{
				text: fmt.Sprintf("%s: %s no slower than %s", r.Subject.Daemon.Name(), theirs.Name, other.Subject.Daemon.Name()),
				got:  fmt.Sprintf("%s against %s ms", whole(median(ours.Outages)), whole(median(theirs.Outages))),
				met:  len(ours.Outages) > 0 && median(ours.Outages) <= median(theirs.Outages)+resolution,
			})
		}
	}
	return targets
}

// resolution is the time between two of the client's requests: less cannot be told apart.
const resolution = 2 * time.Millisecond

func (r Result) trial(name string) (TrialResult, bool) {
	i := slices.IndexFunc(r.Trials, func(t TrialResult) bool { return t.Name == name })
	if i < 0 {
		return TrialResult{}, false
	}
	return r.Trials[i], true
}

// atMost adds a bound of the median outage of a trial, if that was measured.
func (r Result) atMost(targets []target, trial string, bound time.Duration) []target {
	t, ok := r.trial(trial)
	if !ok {
		return targets
	}
	return append(targets, target{
		text: fmt.Sprintf("%s: %s, median at most %s ms", r.Subject.Daemon.Name(), trial, whole(bound)),
		got:  cell(t),
		met:  len(t.Outages) > 0 && median(t.Outages) <= bound,
	})
}
