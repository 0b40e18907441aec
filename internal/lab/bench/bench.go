// Package bench lays VIP daemons side by side: the outage that a client sees
// when something happens to the owner, and what the daemons consume while nothing
// does. All are measured in one run, on one machine, by the same client.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/daemon"
	"github.com/vipd/vipd/internal/lab/scene"
)

// Subject is a daemon to measure.
type Subject struct {
	Daemon daemon.Daemon
	// Vipd is false for the daemons that vipd is compared with.
	Vipd bool
	// Interval between adverts; zero means that it was left at the default.
	Interval time.Duration
}

// Options of a benchmark.
type Options struct {
	Subjects []Subject
	// Viplab is the path of a program with the commands of package tool.
	Viplab string
	// Runs of each trial.
	Runs int
	// Idle is how long the daemons are watched while nothing happens.
	Idle time.Duration
	// Only names the parts to measure, of Parts; empty means all.
	Only []string
	// Progress gets a line for each thing done.
	Progress io.Writer
}

// measures tells whether a part is to be measured.
func (o Options) measures(part string) bool {
	return len(o.Only) == 0 || slices.Contains(o.Only, part)
}

// Result is all that was measured of one subject.
type Result struct {
	Subject Subject
	// Trials are those measured, in the order of trials().
	Trials []TrialResult
	// Idle says what the daemons consumed while nothing happened; nil: that was
	// not measured.
	Idle *Idle
}

// Idle is what the owner's daemon and a backup's take.
type Idle struct{ Owner, Backup Consumption }

// worst is the more of each that one of the two takes.
func (i Idle) worst() Consumption {
	return Consumption{CPU: max(i.Owner.CPU, i.Backup.CPU), RSS: max(i.Owner.RSS, i.Backup.RSS)}
}

// TrialResult is one trial's runs.
type TrialResult struct {
	Name    string
	Outages []time.Duration // of the runs that worked
	Errors  []error         // of the others
	// FailedAfterAnnounced is the most requests that failed in a run although
	// they started after the successor's announcement.
	FailedAfterAnnounced int
	// Lost counts requests that failed and streams that broke.
	Lost int
	// Late is the client's worst delay, the resolution of all this.
	Late time.Duration
}

// Consumption is what a daemon takes.
type Consumption struct {
	CPU float64 // percent of a core
	RSS uint64  // bytes
}

// patience is how long a trial and its mending may each take.
const patience = 30 * time.Second

// idle is the name of the part in which nothing happens.
const idle = "idle"

// Parts are the names of all that is measured.
func Parts() []string {
	parts := []string{idle}
	for _, t := range trials() {
		parts = append(parts, t.Name)
	}
	return parts
}

// trials are what the benchmark repeats.
func trials() []scene.Trial {
	return []scene.Trial{scene.CableCut(), scene.SilentCut(), scene.PlannedStop(), scene.APIServerKilled()}
}

// Run measures all subjects one after the other. A run that fails is recorded
// and repeated in no way; an error is returned only if a subject could not be
// set up.
func Run(ctx context.Context, opts Options) ([]Result, error) {
	results := make([]Result, 0, len(opts.Subjects))
	for _, subject := range opts.Subjects {
		b := &bench{opts: opts, subject: subject}
		r, err := b.measure(ctx)
		if err := errors.Join(err, b.close()); err != nil {
			return results, fmt.Errorf("measure %s: %w", subject.Daemon.Name(), err)
		}
		results = append(results, r)
	}
	return results, nil
}

// bench measures one subject.
type bench struct {
	opts    Options
	subject Subject
	scene   *scene.Scene // nil before the first use and after a failed run
	// with are the options of scenes, and closed is called when one ended; nil: nothing.
	with   scene.Options
	closed func()
}

func (b *bench) measure(ctx context.Context) (Result, error) {
	r := Result{Subject: b.subject}
	if b.opts.measures(idle) {
		taken, err := b.idle(ctx)
		if err != nil {
			return r, err
		}
		r.Idle = &taken
	}
	for _, t := range trials() {
		if !b.opts.measures(t.Name) {
			continue
		}
		result := TrialResult{Name: t.Name}
		for run := range b.opts.Runs {
			if err := b.run(ctx, t, &result); err != nil {
				return r, err
			}
			b.progress("%s, %d of %d: %s", t.Name, run+1, b.opts.Runs, cell(result))
		}
		r.Trials = append(r.Trials, result)
	}
	return r, nil
}

// run does a trial once. A failure is the result's, and the scene is set anew
// for the next run; only a scene that cannot be set is an error.
func (b *bench) run(ctx context.Context, t scene.Trial, result *TrialResult) error {
	if err := b.open(ctx); err != nil {
		return err
	}
	outcome, err := b.try(ctx, t)
	if err == nil {
		result.Outages = append(result.Outages, outcome.Seen.Outage)
		result.FailedAfterAnnounced = max(result.FailedAfterAnnounced, outcome.FailedAfterAnnounced)
		result.Lost += outcome.Seen.Failed + outcome.Seen.Broken
		result.Late = max(result.Late, outcome.Seen.Late)
		err = b.mend(ctx, outcome)
	}
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return err
	}
	result.Errors = append(result.Errors, err)
	b.progress("%s: %v", t.Name, err)
	return b.close()
}

func (b *bench) try(ctx context.Context, t scene.Trial) (scene.Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return b.scene.Try(ctx, t)
}

// mend brings everything back, and helps a daemon that would leave the client
// with an old neighbour.
func (b *bench) mend(ctx context.Context, o scene.Outcome) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := o.Mend(ctx); err != nil {
		return err
	}
	if _, err := b.scene.Agree(ctx); err != nil {
		return err
	}
	if err := b.scene.ForgetNeighbours(ctx); err != nil {
		return err
	}
	_, err := b.scene.Settle(ctx)
	return err
}

// open sets the scene unless it stands.
func (b *bench) open(ctx context.Context) error { return b.openWith(ctx, b.with) }

// openWith is open with further options.
func (b *bench) openWith(ctx context.Context, opts scene.Options) error {
	if b.scene != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	opts.Daemon, opts.Viplab = b.subject.Daemon, b.opts.Viplab
	s, err := scene.Open(ctx, opts)
	if err != nil {
		return err
	}
	b.scene = s
	return nil
}

func (b *bench) close() error {
	if b.scene == nil {
		return nil
	}
	s := b.scene
	b.scene = nil
	if b.closed != nil {
		b.closed()
	}
	return s.Close()
}

// idle watches the owner and a backup while nothing happens but the client's
// requests, which the daemons have no part in.
func (b *bench) idle(ctx context.Context) (Idle, error) {
	if err := b.open(ctx); err != nil {
		return Idle{}, err
	}
	settling, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	host, err := b.scene.Settle(settling)
	if err != nil {
		return Idle{}, err
	}
	other := b.scene.Lab.Hosts[0]
	if other == host {
		other = b.scene.Lab.Hosts[1]
	}
	watched := []*lab.Proc{b.scene.Process(host), b.scene.Process(other)}
	before, err := usages(watched)
	if err != nil {
		return Idle{}, err
	}
	begin := time.Now()
	select {
	case <-ctx.Done():
		return Idle{}, ctx.Err()
	case <-time.After(b.opts.Idle):
	}
	after, err := usages(watched)
	if err != nil {
		return Idle{}, err
	}
	took := time.Since(begin)
	taken := Idle{Owner: consumption(before[0], after[0], took), Backup: consumption(before[1], after[1], took)}
	b.progress("idle: owner %s, backup %s", taken.Owner, taken.Backup)
	return taken, nil
}

func usages(procs []*lab.Proc) ([]lab.Usage, error) {
	all := make([]lab.Usage, 0, len(procs))
	for _, p := range procs {
		u, err := p.Usage()
		if err != nil {
			return nil, err
		}
		all = append(all, u)
	}
	return all, nil
}

func consumption(before, after lab.Usage, took time.Duration) Consumption {
	return Consumption{CPU: 100 * float64(after.CPU-before.CPU) / float64(took), RSS: after.RSS}
}

func (c Consumption) String() string {
	return fmt.Sprintf("%.2f %%, %.1f MB", c.CPU, float64(c.RSS)/1e6)
}

func (b *bench) progress(format string, args ...any) {
	fmt.Fprintf(b.opts.Progress, "%s: %s\n", b.subject.Daemon.Name(), fmt.Sprintf(format, args...))
}

// median returns the middle of an odd number of durations, the upper of the two
// middle ones of an even number, and zero of none.
func median(all []time.Duration) time.Duration {
	if len(all) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(all))[len(all)/2]
}
