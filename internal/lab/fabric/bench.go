package fabric

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/router"
)

const (
	// patient bounds each step of the benchmark.
	patient = 60 * time.Second
	// benchEvery is the time between two requests of the client.
	benchEvery = 2 * time.Millisecond
	// benchStreams is how many streams it keeps open.
	benchStreams = 30
	// tolerance is what is granted beyond the detection time.
	tolerance = 20 * time.Millisecond
	// mostMemory is what vipd may need with BGP, in bytes.
	mostMemory = 60 << 20
)

// Subject is a way to announce and to notice that a node is gone.
type Subject struct {
	// FRR runs FRR on the hosts; otherwise vipd.
	FRR bool
	// BFD is the interval, three of which are the detection time; 0: the hold
	// time of 3 s alone.
	BFD time.Duration
}

// Subjects are those that are compared.
func Subjects() []Subject {
	var all []Subject
	for _, every := range []time.Duration{0, 300 * time.Millisecond, 100 * time.Millisecond, 50 * time.Millisecond, 10 * time.Millisecond} {
		all = append(all, Subject{FRR: true, BFD: every}, Subject{BFD: every})
	}
	return all
}

func (s Subject) String() string {
	name := "vipd"
	if s.FRR {
		name = "FRR"
	}
	if s.BFD == 0 {
		return name + ", hold time 3 s"
	}
	return fmt.Sprintf("%s, BFD %v x 3", name, s.BFD)
}

// detection is how long a silent node may go unnoticed.
func (s Subject) detection() time.Duration {
	if s.BFD == 0 {
		return 3 * time.Second
	}
	return 3 * s.BFD
}

// Result is what a subject showed.
type Result struct {
	Subject Subject
	// Outages are from each silent cut of one of three hosts to the last request
	// that failed for it.
	Outages []time.Duration
	// Left counts requests that failed because a host left as planned, Broken the
	// streams that broke then, of Streams.
	Left, Broken, Streams int
	// Memory is the resident memory of all processes of a host, in bytes.
	Memory uint64
	Err    error
}

// BenchOptions of Bench.
type BenchOptions struct {
	Vipd, Viplab string
	Runs         int
	Progress     io.Writer
}

// Bench measures each subject on a fabric of its own.
func Bench(ctx context.Context, opts BenchOptions) []Result {
	var results []Result
	for _, s := range Subjects() {
		fmt.Fprintln(opts.Progress, s)
		r := Result{Subject: s}
		r.Err = r.measure(ctx, opts)
		results = append(results, r)
	}
	return results
}

func (r *Result) measure(ctx context.Context, opts BenchOptions) (err error) {
	setup := Options{
		Vipd: opts.Vipd, Viplab: opts.Viplab, HostFRR: r.Subject.FRR, Every: benchEvery, Streams: benchStreams,
		BGP: []string{"return_delay: 0s"}, Neighbor: []string{"hold_time: 3s"},
		Peering: router.Peering{Hold: 3 * time.Second},
	}
	if every := r.Subject.BFD; every > 0 {
		setup.Neighbor = append(setup.Neighbor, fmt.Sprintf("bfd: {enabled: true, transmit: %v, receive: %v}", every, every))
		setup.Peering.BFD = &router.BFD{Interval: every, Multiplier: 3}
	}
	opening, cancel := context.WithTimeout(ctx, patient)
	defer cancel()
	f, err := Open(opening, setup)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.ready(ctx); err != nil {
		return err
	}
	if r.Memory, err = f.memory(f.Lab.Hosts[0]); err != nil {
		return err
	}
	for i := range opts.Runs {
		if err := r.cut(ctx, f, f.Lab.Hosts[i%len(f.Lab.Hosts)]); err != nil {
			return err
		}
	}
	return r.leave(ctx, f, f.Lab.Hosts[0])
}

// ready waits until all paths are in use and BFD is up.
func (f *Fabric) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patient)
	defer cancel()
	if err := f.AwaitPaths(ctx, f.opts.VIPs[0], f.Lab.Hosts...); err != nil {
		return err
	}
	frr, ok := f.Router.(*router.FRR)
	if f.opts.Peering.BFD == nil || !ok {
		return f.Settle(ctx)
	}
	err := lab.AwaitEvery(ctx, 50*time.Millisecond, "BFD", func() error {
		states, err := frr.BFD(ctx)
		for peer, state := range states {
			if state != "up" {
				return fmt.Errorf("%v is %s", peer, state)
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	return f.Settle(ctx)
}

// cut loses all frames of a host, and mends that.
func (r *Result) cut(ctx context.Context, f *Fabric, h *lab.Host) error {
	ctx, cancel := context.WithTimeout(ctx, patient)
	defer cancel()
	at := time.Now()
	mend, err := f.Lab.Break(lab.SilentCut(h))
	if err != nil {
		return err
	}
	others := slices.DeleteFunc(slices.Clone(f.Lab.Hosts), func(o *lab.Host) bool { return o == h })
	if err := f.AwaitPaths(ctx, f.opts.VIPs[0], others...); err != nil {
		return errors.Join(err, mend())
	}
	failures, err := f.failures(ctx, at)
	if err != nil {
		return errors.Join(err, mend())
	}
	r.Outages = append(r.Outages, failures)
	if err := mend(); err != nil {
		return err
	}
	return f.ready(ctx)
}

// failures is how long after a moment the last request started that failed.
func (f *Fabric) failures(ctx context.Context, at time.Time) (time.Duration, error) {
	served, err := f.Client.AwaitServed(ctx, time.Now(), 10*settled, func(string) bool { return true })
	if err != nil {
		return 0, err
	}
	failed, err := f.Client.Failures(ctx, at, served)
	last := at
	for _, q := range failed {
		if q.At.After(last) {
			last = q.At
		}
	}
	return last.Sub(at), err
}

// leave has a host leave as planned: vipd by a drain, FRR by a withdrawal.
func (r *Result) leave(ctx context.Context, f *Fabric, h *lab.Host) error {
	ctx, cancel := context.WithTimeout(ctx, patient)
	defer cancel()
	at := time.Now()
	var err error
	if r.Subject.FRR {
		err = f.withdraw(ctx, h, false)
	} else {
		_, err = f.Vipd.Command(ctx, h, "drain")
	}
	if err != nil {
		return err
	}
	served, err := f.Client.AwaitServed(ctx, time.Now().Add(time.Second), 10*settled, func(string) bool { return true })
	if err != nil {
		return err
	}
	report, err := f.Client.Report(ctx, at, served)
	r.Left, r.Broken, r.Streams = report.Failed, report.Broken, report.Streams
	return err
}

// memory sums over the processes that announce.
func (f *Fabric) memory(h *lab.Host) (uint64, error) {
	procs := []*lab.Proc{f.daemons[h]}
	if f.opts.HostFRR {
		procs = f.frrs[h].Processes()
	}
	var sum uint64
	for _, p := range procs {
		u, err := p.Usage()
		if err != nil {
			return 0, err
		}
		sum += u.RSS
	}
	return sum, nil
}

// Print writes the results as a table in Markdown, and below it which targets
// vipd missed.
func Print(w io.Writer, results []Result) error {
	var errs []error
	fmt.Fprintf(w, "| one of three hosts | silent cut, ms, median/max | detection + %d, ms | planned leave: requests failed | streams broken | RSS, MB |\n|---|---|---|---|---|---|\n", tolerance.Milliseconds())
	var missed []string
	for _, r := range results {
		if r.Err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", r.Subject, r.Err))
			continue
		}
		slices.Sort(r.Outages)
		worst, limit := slices.Max(r.Outages), r.Subject.detection()+tolerance
		fmt.Fprintf(w, "| %s | %d/%d | %d | %d | %d of %d | %.1f |\n", r.Subject, r.Outages[len(r.Outages)/2].Milliseconds(), worst.Milliseconds(),
			limit.Milliseconds(), r.Left, r.Broken, r.Streams, float64(r.Memory)/1e6)
		if r.Subject.FRR {
			continue
		}
		for text, bad := range map[string]bool{"outage": worst > limit, "failed requests": r.Left > 0, "memory": r.Memory > mostMemory} {
			if bad {
				missed = append(missed, fmt.Sprintf("%s: %s", r.Subject, text))
			}
		}
	}
	slices.Sort(missed)
	for _, m := range missed {
		fmt.Fprintf(w, "\nmissed: %s", m)
	}
	_, err := fmt.Fprintln(w)
	return errors.Join(append(errs, err)...)
}
