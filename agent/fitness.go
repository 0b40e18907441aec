package agent

import (
	"context"
	"slices"
	"time"

	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/election/vrrp"
	"github.com/vipd/vipd/health/counter"
)

// fitness is what decides a group's band on this node: its health checks, and
// whether the kernel takes its addresses.
type fitness struct {
	checks *counter.Group
	// unheld is why the addresses are missing; empty: they are not.
	unheld      string
	certificate *CertificateStatus
	// liveness is that of the server behind the VIP, as its https checks see it.
	liveness counter.Liveness
	shown    []CheckStatus
	// told is the reason that the log told last.
	told string
	// epoch tells results of a former list of checks from present ones.
	epoch int
	end   func()
}

func newFitness(now time.Time, v config.VIP) fitness {
	f := fitness{checks: counter.NewGroup(now, v.UnhealthyDelay, rules(v))}
	f.show(now, v)
	return f
}

func rules(v config.VIP) []counter.Rule {
	all := make([]counter.Rule, 0, len(v.Health))
	for _, c := range v.Health {
		all = append(all, counter.Rule{Name: c.Name, Rise: c.Rise, Fall: c.Fall})
	}
	return all
}

// show makes the list that status shows, and keeps what is known of checks that
// stay.
func (f *fitness) show(now time.Time, v config.VIP) {
	next := make([]CheckStatus, 0, len(v.Health))
	for _, c := range v.Health {
		i := slices.IndexFunc(f.shown, func(s CheckStatus) bool { return s.Name == c.Name })
		if i >= 0 {
			next = append(next, f.shown[i])
			continue
		}
		next = append(next, CheckStatus{
			Name: c.Name, Type: string(c.Type), Since: now,
			Error: "no result yet", Counters: &CheckCounters{},
		})
	}
	f.shown = next
	if !slices.ContainsFunc(v.Health, func(c config.Check) bool { return c.Type == config.CheckHTTPS }) {
		f.certificate, f.liveness = nil, counter.Unknown
	}
}

func (f *fitness) healthy() bool { return f.unheld == "" && f.checks.Verdict().Healthy }

// why is one line about what is wrong.
func (f *fitness) why() string {
	if f.unheld != "" {
		return "the VIP cannot be put on this node: " + f.unheld
	}
	v := f.checks.Verdict()
	if v.Check == "" {
		return v.Reason
	}
	return "check " + v.Check + ": " + v.Reason
}

func (f *fitness) deadline() time.Time { return f.checks.Deadline() }

// tick tells whether the verdict changed.
func (f *fitness) tick(now time.Time) bool {
	if d := f.checks.Deadline(); d.IsZero() || now.Before(d) {
		return false
	}
	before := f.healthy()
	f.checks.Tick(now)
	return f.healthy() != before
}

// setHolding tells why the addresses are missing, if they are, and returns
// whether the verdict changed.
func (f *fitness) setHolding(why string) bool {
	before := f.healthy()
	f.unheld = why
	return f.healthy() != before
}

func (f *fitness) stop() {
	if f.end != nil {
		f.end()
	}
}

// watchHealth starts the group's probes, in place of those that run.
func (g *group) watchHealth() {
	g.fitness.stop()
	g.fitness.epoch++
	if len(g.cfg.Health) == 0 {
		return
	}
	epoch, v, a := g.fitness.epoch, g.cfg, g.agent
	g.fitness.end = a.spawn(func(ctx context.Context) {
		err := a.edges.Health.WatchHealth(ctx, v, func(r ProbeResult) {
			a.Post(ctx, checked{group: g, epoch: epoch, result: r})
		})
		if err != nil && ctx.Err() == nil {
			g.log.Error("the health checks of the VIP ended; mend the configuration and run vipd reload", "error", err)
		}
	})
}

// checked counts a probe's result.
func (g *group) checked(now time.Time, ev checked) {
	if ev.epoch != g.fitness.epoch {
		return
	}
	f, r := &g.fitness, ev.result
	before, judged := f.healthy(), f.checks.Judged()
	f.checks.Step(now, r.Check, r.Result)
	if f.note(now, r) && r.Warning != "" {
		g.log.Warn("a health check works, with a warning", "check", r.Check, "warning", r.Warning)
	}
	if f.healthy() != before || f.checks.Judged() != judged || !f.healthy() && f.why() != f.told {
		g.judge(now)
	}
	g.judgeShadow(now)
}

// note keeps what status shows, and tells whether the warning changed.
func (f *fitness) note(now time.Time, r ProbeResult) bool {
	i := slices.IndexFunc(f.shown, func(s CheckStatus) bool { return s.Name == r.Check })
	v, ok := f.checks.Check(r.Check)
	if i < 0 || !ok {
		return false
	}
	s := &f.shown[i]
	if s.Healthy != v.Healthy {
		s.Since = now
	}
	if s.Type == string(config.CheckHTTPS) {
		f.liveness = v.Liveness
	}
	s.Healthy, s.Alive, s.Error = v.Healthy, v.Liveness == counter.Alive, v.Reason
	s.LatencySeconds = r.Latency.Seconds()
	s.Counters.Duration.Observe(r.Latency)
	if r.Result.Ready == counter.OK {
		s.Counters.Succeeded.Add(1)
	} else {
		s.Counters.Failed.Add(1)
	}
	if r.Certificate != nil {
		f.certificate = r.Certificate
	}
	changed := s.Warning != r.Warning
	s.Warning = r.Warning
	return changed
}

// judge tells the machine and the log that this node's fitness changed.
func (g *group) judge(now time.Time) {
	healthy, why := g.fitness.healthy(), g.fitness.why()
	g.fitness.told = why
	g.route.judge(now, healthy)
	if healthy {
		g.log.Info("this node is healthy for the VIP", "detail", why)
	} else {
		g.log.Warn("this node is unhealthy for the VIP", "detail", why)
	}
	g.step(now, vrrp.Health{Healthy: healthy, Unproven: !g.fitness.checks.Judged(), Detail: why})
}
