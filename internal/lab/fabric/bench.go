package fabric

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"syscall"
	"time"

	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/measure"
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
)

// Subject is a way to announce and to notice that a node is gone.
type Subject struct {
	// FRR runs FRR on the hosts; otherwise vipd.
	FRR bool
	// BIRD is the router; otherwise FRR.
	BIRD bool
	// BFD is the interval, three of which are the detection time; 0: the hold
	// time of 3 s alone.
	BFD time.Duration
}

// Subjects are those that are compared.
func Subjects() []Subject {
	var all []Subject
	for _, every := range []time.Duration{0, 300 * time.Millisecond, 100 * time.Millisecond, 50 * time.Millisecond, 10 * time.Millisecond} {
		all = append(all, Subject{FRR: true, BFD: every}, Subject{BFD: every}, Subject{BIRD: true, BFD: every})
	}
	return all
}

func (s Subject) String() string {
	name, router := "vipd", "FRR"
	if s.FRR {
		name = "FRR"
	}
	if s.BIRD {
		router = "BIRD"
	}
	if s.BFD == 0 {
		return fmt.Sprintf("%s, router %s, hold time 3 s", name, router)
	}
	return fmt.Sprintf("%s, router %s, BFD %v x 3", name, router, s.BFD)
}

// detection is how long a silent node may go unnoticed.
func (s Subject) detection() time.Duration {
	if s.BFD == 0 {
		return 3 * time.Second
	}
	return 3 * s.BFD
}

// Cut is what the silent cut of one of three hosts showed. What is not known is
// zero.
type Cut struct {
	// Outage is from the first request that failed to the last.
	Outage time.Duration
	// Detected is from the last BFD packet of the host at the router to the
	// router's saying down, Rerouted from the same to the change of the routes in
	// its kernel.
	Detected, Rerouted time.Duration
	// Noticed is from the router's last BFD packet at the host to the host's saying
	// down.
	Noticed time.Duration
	// Back is, once the segment is whole again, from the host's saying up to the
	// router's use of all paths.
	Back time.Duration

	host     *lab.Host
	at, mend time.Time
	settled  time.Time
}

// due is what the target grants an outage: the detection time, some tolerance,
// and what the router needs to change its routes once it has detected.
func (c Cut) due(s Subject) time.Duration {
	return s.detection() + tolerance + max(0, c.Rerouted-c.Detected)
}

// Result is what a subject showed.
type Result struct {
	Subject Subject
	Cuts    []Cut
	// Alarms counts BFD sessions that were lost while no host was cut off.
	Alarms int
	// Left is what a host's planned leave broke, Joined what its return did.
	Left, Joined Loss
	// Memory is the resident memory of all processes of a host, in bytes, at the
	// beginning, and Worn in the end; pages that they share count for each.
	Memory, Worn uint64
	// Restarts are, for each host whose speaker was killed, how long it took until the
	// router used all paths again.
	Restarts []time.Duration
	Err      error
}

// Loss is what a change of the paths broke.
type Loss struct {
	// Failed counts requests, but for those of Rehashed, which were under way when
	// the router spread anew; Broken counts streams, of Streams.
	Failed, Rehashed, Broken, Streams int
}

// BenchOptions of Bench.
type BenchOptions struct {
	Vipd, Viplab string
	Runs         int
	// Only are the BFD intervals to measure; empty: all.
	Only     []time.Duration
	Progress io.Writer
}

// Bench measures each subject on a fabric of its own.
func Bench(ctx context.Context, opts BenchOptions) []Result {
	var results []Result
	for _, s := range Subjects() {
		if len(opts.Only) > 0 && !slices.Contains(opts.Only, s.BFD) {
			continue
		}
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
	if r.Subject.BIRD {
		setup.Start = BIRD
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
	o, err := f.observe(ctx)
	if err != nil {
		return err
	}
	if err := f.ready(ctx); err != nil { // and each end is heard by now
		return err
	}
	for i := range opts.Runs {
		if err := r.cut(ctx, f, f.Lab.Hosts[i%len(f.Lab.Hosts)]); err != nil {
			return err
		}
	}
	if err := o.end(); err != nil {
		return err
	}
	if err := r.judge(f, o); err != nil {
		return err
	}
	if err := r.leave(ctx, f, f.Lab.Hosts[0]); err != nil {
		return err
	}
	if r.Worn, err = f.memory(f.Lab.Hosts[0]); err != nil || r.Subject.FRR {
		return err
	}
	for _, h := range f.Lab.Hosts {
		if err := r.restart(ctx, f, h); err != nil {
			return err
		}
	}
	return nil
}

// restart kills a host's speaker.
func (r *Result) restart(ctx context.Context, f *Fabric, h *lab.Host) error {
	ctx, cancel := context.WithTimeout(ctx, patient)
	defer cancel()
	pid, err := f.speaker(ctx, h)
	if err != nil {
		return err
	}
	at := time.Now()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill the speaker on %s: %w", h, err)
	}
	for _, hosts := range [][]*lab.Host{f.without(h), f.Lab.Hosts} {
		if err := f.AwaitPaths(ctx, f.opts.VIPs[0], hosts...); err != nil {
			return err
		}
	}
	r.Restarts = append(r.Restarts, time.Since(at))
	return f.ready(ctx)
}

// judge adds what the observer saw.
func (r *Result) judge(f *Fabric, o *observer) error {
	words, err := readWords(o.atRouter.File)
	if err != nil {
		return err
	}
	here := f.own(f.Lab.Router, f.opts.IPv6Sessions)
	all := len(f.Lab.Hosts)
	for i := range r.Cuts {
		c := &r.Cuts[i]
		there := f.own(c.host, f.opts.IPv6Sessions)
		d, down, ok := silence(words, there, here, c.at)
		if changed, found := o.changed(c.at, all-1); ok && found {
			c.Detected, c.Rerouted = d, changed.Sub(down)+d
		}
		heard, err := readWords(o.atHost[c.host].File)
		if err != nil {
			return err
		}
		c.Noticed, _, _ = silence(heard, here, there, c.at)
		if up, ok := upAgain(words, there, c.mend); ok {
			if changed, found := o.changed(c.mend, all); found {
				c.Back = max(0, changed.Sub(up))
			}
		}
	}
	r.Alarms = lost(words, func(w word) bool {
		return slices.ContainsFunc(r.Cuts, func(c Cut) bool {
			there := f.own(c.host, f.opts.IPv6Sessions)
			return (w.from == there || w.to == there) && w.at.After(c.at) && w.at.Before(c.settled)
		})
	})
	return nil
}

// ready waits until all paths are in use and BFD is up.
func (f *Fabric) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patient)
	defer cancel()
	if err := f.AwaitPaths(ctx, f.opts.VIPs[0], f.Lab.Hosts...); err != nil {
		return err
	}
	if f.opts.Peering.BFD == nil {
		return f.Settle(ctx)
	}
	err := lab.AwaitEvery(ctx, 50*time.Millisecond, "BFD", func() error {
		states, err := f.Router.BFD(ctx)
		for peer, state := range states {
			if state != "up" {
				return fmt.Errorf("%v is %s", peer, state)
			}
		}
		if err == nil && len(states) < len(f.Lab.Hosts) {
			err = fmt.Errorf("%d sessions", len(states))
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
	c := Cut{host: h, at: time.Now()}
	mend, err := f.Lab.Break(lab.SilentCut(h))
	if err != nil {
		return err
	}
	if err := f.AwaitPaths(ctx, f.opts.VIPs[0], f.without(h)...); err != nil {
		return errors.Join(err, mend())
	}
	if c.Outage, err = f.failing(ctx, c.at); err != nil {
		return errors.Join(err, mend())
	}
	c.mend = time.Now()
	if err := mend(); err != nil {
		return err
	}
	err = f.ready(ctx)
	c.settled = time.Now()
	r.Cuts = append(r.Cuts, c)
	return err
}

// failing is how long requests failed after a moment: from the start of the first
// one that did to when the one after the last could have.
func (f *Fabric) failing(ctx context.Context, at time.Time) (time.Duration, error) {
	served, err := f.Client.AwaitServed(ctx, time.Now(), 10*settled, func(string) bool { return true })
	if err != nil {
		return 0, err
	}
	failed, err := f.Client.Failures(ctx, at, served)
	if err != nil || len(failed) == 0 {
		return 0, err
	}
	byStart := func(a, b measure.Request) int { return a.At.Compare(b.At) }
	first, last := slices.MinFunc(failed, byStart), slices.MaxFunc(failed, byStart)
	return last.At.Sub(first.At) + benchEvery, nil
}

// leave has a host leave as planned, and come back: vipd by a drain, FRR by a
// withdrawal.
func (r *Result) leave(ctx context.Context, f *Fabric, h *lab.Host) error {
	var err error
	if r.Left, err = f.loss(ctx, f.without(h), func() error { return r.Subject.announce(ctx, f, h, false) }); err != nil {
		return err
	}
	r.Joined, err = f.loss(ctx, f.Lab.Hosts, func() error { return r.Subject.announce(ctx, f, h, true) })
	return err
}

// announce ends a host's announcements as planned, or begins them again.
func (s Subject) announce(ctx context.Context, f *Fabric, h *lab.Host, again bool) error {
	if s.FRR {
		return f.withdraw(ctx, h, again)
	}
	command := "drain"
	if again {
		command = "undrain"
	}
	_, err := f.Vipd.Command(ctx, h, command)
	return err
}

// loss is what a change breaks after which the router is to use exactly the paths
// by some hosts. All streams are new ones: of those that lived through a change
// none breaks when it is undone.
func (f *Fabric) loss(ctx context.Context, hosts []*lab.Host, change func() error) (Loss, error) {
	ctx, cancel := context.WithTimeout(ctx, patient)
	defer cancel()
	if err := f.Client.Stop(ctx); err != nil {
		return Loss{}, err
	}
	var err error
	if f.Client, err = f.measure(ctx); err != nil {
		return Loss{}, err
	}
	if err := f.Client.AwaitStreams(ctx, time.Now()); err != nil {
		return Loss{}, err
	}
	routes, err := f.watchRoutes()
	if err != nil {
		return Loss{}, err
	}
	defer routes.end()
	at := time.Now()
	if err := change(); err != nil {
		return Loss{}, err
	}
	if err := f.AwaitPaths(ctx, f.opts.VIPs[0], hosts...); err != nil {
		return Loss{}, err
	}
	served, err := f.Client.AwaitServed(ctx, time.Now().Add(time.Second), 10*settled, func(string) bool { return true })
	if err != nil {
		return Loss{}, err
	}
	report, err := f.Client.Report(ctx, at, served)
	if err != nil {
		return Loss{}, err
	}
	failures, err := f.Client.Failures(ctx, at, served)
	failed := len(slices.DeleteFunc(failures, routes.rehashed))
	return Loss{Failed: failed, Rehashed: report.Failed - failed, Broken: report.Broken, Streams: report.Streams}, err
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
