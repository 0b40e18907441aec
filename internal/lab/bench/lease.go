package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/daemon"
	"github.com/vipd/vipd/internal/lab/etcdcluster"
	"github.com/vipd/vipd/internal/lab/scene"
)

const (
	// leaseStreams are open while hosts crash and drain.
	leaseStreams = 20
	// leaseSlack is what a takeover may take beyond the TTL.
	leaseSlack = 700 * time.Millisecond
	// etcdElection is what more it may take if etcd has to elect a leader meanwhile:
	// with leaseSlack its election timeout and a second.
	etcdElection = 1300 * time.Millisecond
)

// LeaseOptions of a benchmark of elections.
type LeaseOptions struct {
	// Vipd and Viplab are paths of programs.
	Vipd, Viplab string
	// TTLs are those of the leases that are measured; 0 is the election by VRRP.
	TTLs []time.Duration
	// Runs of each trial.
	Runs int
	// Progress gets a line for each thing done.
	Progress io.Writer
}

// LeaseResult is what a client saw of one election.
type LeaseResult struct {
	// Name is the election's, TTL its lease's; 0: it has none.
	Name string
	TTL  time.Duration
	// Crash is a host's that does not lead etcd, LeaderCrash one's that does, which
	// is nothing without a lease; Drain is a planned move.
	Crash, LeaderCrash, Drain TrialResult
}

// Leases measures elections one after the other, as Run does.
func Leases(ctx context.Context, opts LeaseOptions) ([]LeaseResult, error) {
	results := make([]LeaseResult, 0, len(opts.TTLs))
	for _, ttl := range opts.TTLs {
		r, err := opts.measure(ctx, ttl)
		if err != nil {
			return results, fmt.Errorf("measure %s: %w", r.Name, err)
		}
		results = append(results, r)
	}
	return results, nil
}

// electing is vipd, elected by etcd if it has a TTL.
type electing struct {
	daemon.Vipd
	ttl  time.Duration
	etcd *etcdcluster.Cluster
}

// prepare starts etcd on the hosts, and tells vipd of it.
func (e *electing) prepare(ctx context.Context, l *lab.Lab) error {
	if e.ttl == 0 {
		return nil
	}
	var err error
	if e.etcd, err = etcdcluster.New(l); err != nil {
		return err
	}
	e.Settings = func(*lab.Host) []string {
		return []string{"election: etcd", fmt.Sprintf("etcd: {ttl: %v}", e.ttl)}
	}
	e.Top = func(h *lab.Host) []string {
		pki := func(name string) string { return filepath.Join(e.etcd.PKI(h), name) }
		return []string{
			fmt.Sprintf("etcd: {endpoints: [%q], ca_file: %s, cert_file: %s, key_file: %s}", e.etcd.Endpoint(),
				pki(etcdcluster.CAFile), pki(etcdcluster.ClientCertFile), pki(etcdcluster.ClientKeyFile)),
			"data_dir: " + filepath.Join(h.Dir(), "vipd", "data"),
		}
	}
	return e.etcd.Start(ctx, l.Hosts...)
}

// close ends what the scene does not.
func (e *electing) close() {
	if e.etcd != nil {
		e.etcd.Close()
	}
}

// crash is a host that loses power, and its member of etcd with it; lead: which
// leads etcd, or does not.
func (e *electing) crash(lead bool) scene.Trial {
	power := scene.Crash()
	if e.ttl == 0 {
		return power
	}
	name := map[bool]string{false: "crash", true: "crash of etcd's leader"}[lead]
	return scene.Trial{Name: name, Harm: func(ctx context.Context, s *scene.Scene, owner *lab.Host) (func(context.Context) error, error) {
		leader := owner
		if !lead {
			leader = s.Lab.Hosts[slices.IndexFunc(s.Lab.Hosts, func(h *lab.Host) bool { return h != owner })]
		}
		if err := e.etcd.Lead(ctx, leader); err != nil {
			return nil, err
		}
		// A renewal that the former leader was asked for may be on its way.
		select {
		case <-time.After(e.ttl):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		mend, err := power.Harm(ctx, s, owner)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context) error {
			return errors.Join(mend(ctx), e.etcd.Run(ctx, owner))
		}, e.etcd.Kill(ctx, owner)
	}}
}

func (o LeaseOptions) measure(ctx context.Context, ttl time.Duration) (LeaseResult, error) {
	r := LeaseResult{Name: "election: vrrp", TTL: ttl}
	if ttl != 0 {
		r.Name = fmt.Sprintf("election: etcd, ttl %v", ttl)
	}
	e := &electing{Vipd: daemon.Vipd{Binary: o.Vipd}, ttl: ttl}
	trials := map[*TrialResult]scene.Trial{&r.Drain: scene.Drain(), &r.Crash: e.crash(false)}
	order := []*TrialResult{&r.Drain, &r.Crash}
	if ttl != 0 {
		trials[&r.LeaderCrash] = e.crash(true)
		order = append(order, &r.LeaderCrash)
	}
	b := &bench{
		opts: Options{Viplab: o.Viplab, Runs: o.Runs, Progress: o.Progress}, subject: Subject{Daemon: e, Vipd: true},
		with: scene.Options{Streams: leaseStreams, Prepare: e.prepare}, closed: e.close,
	}
	for _, result := range order {
		result.Name = trials[result].Name
		for run := range o.Runs {
			if err := b.run(ctx, trials[result], result); err != nil {
				return r, errors.Join(err, b.close())
			}
			fmt.Fprintf(o.Progress, "%s: %s, %d of %d: %s\n", r.Name, result.Name, run+1, o.Runs, cell(*result))
		}
	}
	return r, b.close()
}

// PrintLeases writes the results as Print does, with the same error.
func PrintLeases(w io.Writer, results []LeaseResult) error {
	rows := [][]string{{
		"outage in ms, median/max", "crash of the owner", "crash of the owner, which leads etcd", "drain", "drain: lost requests and streams",
	}}
	targets := make([]target, 0, 3*len(results))
	for _, r := range results {
		leader := "-"
		if r.TTL != 0 {
			leader = cell(r.LeaderCrash)
			targets = append(targets, within(r.Name+": crash, the slowest", r.Crash, r.TTL+leaseSlack),
				within(r.Name+": crash of etcd's leader, the slowest", r.LeaderCrash, r.TTL+leaseSlack+etcdElection))
		}
		lost := fmt.Sprintf("%d in %d moves", r.Drain.Lost, len(r.Drain.Outages))
		targets = append(targets, target{r.Name + ": a drain loses nothing", lost, r.Drain.Lost == 0 && len(r.Drain.Outages) > 0})
		rows = append(rows, []string{r.Name, cell(r.Crash), leader, cell(r.Drain), lost})
	}
	text := table(rows) + "\n"
	for _, t := range targets {
		text += t.String()
	}
	if _, err := io.WriteString(w, text); err != nil {
		return err
	}
	return missed(targets)
}

// within is the target that each of a trial's outages has a bound.
func within(text string, t TrialResult, bound time.Duration) target {
	var slowest time.Duration
	if len(t.Outages) > 0 {
		slowest = slices.Max(t.Outages)
	}
	return target{fmt.Sprintf("%s at most %s ms", text, whole(bound)), whole(slowest) + " ms", slowest > 0 && slowest <= bound}
}
