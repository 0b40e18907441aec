package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/vipd/vipd/election"
	"github.com/vipd/vipd/election/vrrp"
)

const (
	// historyLength is how many transitions are remembered.
	historyLength = 256
	// watcherQueue is how many transitions a watcher may lag behind.
	watcherQueue = 64
	// statusPatience is how long a reader of the status waits for the loop.
	statusPatience = time.Second
	// claimFresh is how long another station's claim counts as present.
	claimFresh = 10 * time.Second
)

// ErrWatcherSlow ends a watch whose reader did not keep up.
var ErrWatcherSlow = errors.New("the watcher was too slow; start again")

// shown is a group's state as it was told last.
type shown struct {
	state  State
	reason election.Reason
	detail string
	since  time.Time
}

// public is the group's state for operators.
func (g *group) public() State {
	switch {
	case g.machine.Owns():
		return StateOwner
	case g.machine.State() == vrrp.Init && g.fault.reason != "":
		return StateFault
	case g.machine.State() == vrrp.Init:
		return StateInit
	case g.shadow.casts():
		return StateHandover
	case g.off:
		return StateDrained
	}
	return StateBackup
}

// publish tells the world what changed in this turn.
func (a *Agent) publish(now time.Time) {
	for _, g := range a.groups {
		if g.why.reason != "" {
			if to := g.public(); to != g.shown.state || g.why.told {
				g.tell(now, to)
			}
			g.why = cause{}
		}
		g.tellRehash(now)
	}
}

// tell writes a transition to history, log, counters and watchers.
func (g *group) tell(now time.Time, to State) {
	e := Entry{
		Time: now, VIP: g.cfg.Name, From: g.shown.state, To: to,
		Reason: g.why.reason, Detail: g.why.detail, Owner: g.owner(now),
		DurationSeconds: now.Sub(g.shown.since).Seconds(),
	}
	g.shown = shown{state: to, reason: e.Reason, detail: e.Detail, since: now}
	countIn(&g.counters.Transitions, TransitionKey{To: to, Reason: e.Reason}, 1)
	g.log.Info("VIP state", "from", string(e.From), "to", string(e.To), "reason", string(e.Reason),
		"detail", e.Detail, "owner", e.Owner, "addresses", fmt.Sprint(g.cfg.Addresses))
	g.agent.record(e)
	g.notify(e)
}

func (a *Agent) record(e Entry) {
	a.history = append(a.history, e)
	if len(a.history) > historyLength {
		a.history = slices.Delete(a.history, 0, len(a.history)-historyLength)
	}
	for w := range a.watchers {
		select {
		case w.entries <- e:
		default:
			close(w.entries)
			delete(a.watchers, w)
		}
	}
}

// owner is the owner's address as this node knows it.
func (g *group) owner(now time.Time) string {
	if g.machine.Owns() {
		return g.own.String()
	}
	if s, alive := g.machine.Owner(now); alive {
		return s.Addr.String()
	}
	return ""
}

// Status is the present status. When the loop does not answer within a second
// it is the one that was read last, with its own Time.
func (a *Agent) Status() Status {
	s := a.Brief()
	ctx, cancel := context.WithTimeout(context.Background(), statusPatience)
	defer cancel()
	a.countConnections(ctx, &s)
	return s
}

// Brief is Status without the number of an owner's connections, which costs a
// look at all of the host's.
func (a *Agent) Brief() Status {
	ctx, cancel := context.WithTimeout(context.Background(), statusPatience)
	defer cancel()
	var s Status
	if err := a.ask(ctx, func() { s = a.status(time.Now()) }); err != nil {
		return *a.last.Load()
	}
	a.last.Store(&s)
	return s
}

// countConnections counts for a reader what is open to the VIPs that this node
// owns. Nobody else needs to know.
func (a *Agent) countConnections(ctx context.Context, s *Status) {
	for i := range s.VIPs {
		v := &s.VIPs[i]
		if v.State != StateOwner || !v.Handover.Supported {
			continue
		}
		if open, err := a.edges.Flows.Connections(ctx, v.Addresses, v.Port); err == nil {
			v.Handover.Connections = open.Own + open.Remote
		}
	}
}

func (a *Agent) status(now time.Time) Status {
	s := Status{
		Schema: Schema, Node: a.config.Node, Version: a.opts.Version, Time: now,
		PID: a.opts.PID, Config: a.opts.Path, VIPs: []VIPStatus{},
	}
	for _, g := range a.groups {
		s.VIPs = append(s.VIPs, g.status(now))
	}
	s.Hello, s.Peers = a.helloStatus(now), a.peerStatuses(now)
	s.BGP = a.bgpStatus()
	s.Loop = a.loop.status()
	var since time.Time
	if since, s.Drained = a.drainedSince(); s.Drained {
		s.DrainedSince = since.UTC().Format(time.RFC3339)
	}
	return s
}

// segment is the interface that adverts go by; empty: it is not known yet.
func (g *group) segment() string {
	if g.link != nil {
		return g.link.name
	}
	return g.cfg.Interface
}

func (g *group) status(now time.Time) VIPStatus {
	v := VIPStatus{
		Name: g.cfg.Name, Addresses: slices.Clone(g.cfg.Addresses), Port: g.cfg.Port,
		Interface: cmp.Or(g.seat(), g.cfg.Interface), Announce: string(g.cfg.Announce),
		State: g.shown.state, Reason: g.shown.reason, Detail: g.shown.detail, Since: g.shown.since,
		Owner: g.owner(now), Healthy: g.fitness.healthy(), Health: slices.Clone(g.fitness.shown),
		Certificate: g.fitness.certificate,
		Election: ElectionStatus{
			Type: string(g.cfg.Election), Interface: g.segment(), VRID: g.cfg.VRRP.VRID,
			Priority: g.machine.Priority(now), Band: g.machine.Band().String(),
			LastAdvertAgeSeconds: g.lastAdvertAge(now),
			Peers:                g.listedPeers(),
		},
		Handover:    g.handoverStatus(now),
		AnnouncedAs: g.spoken.as.String(),
		Counters:    g.counters,
	}
	if g.spoken.as == unwell && g.route.healthy {
		v.HealthyAt = g.route.wellAt
	}
	if v.Health == nil {
		v.Health = []CheckStatus{}
	}
	if g.everywhere() {
		v.Election.Interface, v.Election.VRID = "", 0 // it has no adverts
	}
	v.Election.Lease = g.leaseStatus(now)
	if g.machine.Owns() {
		v.Election.OwnerPriority = v.Election.Priority
	} else if s, alive := g.machine.Owner(now); alive {
		v.Election.OwnerPriority = s.Priority
	}
	_, rival := g.machine.Rival(now)
	v.DuplicateOwner = g.machine.Owns() && (rival || !g.claimedAt.IsZero() && now.Sub(g.claimedAt) < claimFresh)
	return v
}

func (g *group) lastAdvertAge(now time.Time) float64 {
	at := g.counters.lastAdvert.Load()
	if at == 0 {
		return -1
	}
	return (now.Sub(g.agent.started) - time.Duration(at)).Seconds()
}

// History is the last transitions, oldest first.
func (a *Agent) History() []Entry {
	ctx, cancel := context.WithTimeout(context.Background(), statusPatience)
	defer cancel()
	var all []Entry
	_ = a.ask(ctx, func() { all = slices.Clone(a.history) }) // no answer: no history
	return all
}

// Loop is what is counted for the daemon as a whole.
func (a *Agent) Loop() *LoopCounters {
	ctx, cancel := context.WithTimeout(context.Background(), statusPatience)
	defer cancel()
	_ = a.ask(ctx, a.publishDiscarded) // no answer: it shows what was counted before
	return &a.loop
}

// watcher is a reader of transitions.
type watcher struct{ entries chan Entry }

// Watch hands fn the present state of each VIP, as an Entry whose From is its
// To, and then each transition, until ctx ends or fn returns an error.
func (a *Agent) Watch(ctx context.Context, fn func(Entry) error) error {
	w := &watcher{entries: make(chan Entry, watcherQueue)}
	var present []Entry
	err := a.ask(ctx, func() {
		now := time.Now()
		for _, g := range a.groups {
			present = append(present, Entry{
				Time: g.shown.since, VIP: g.cfg.Name, From: g.shown.state, To: g.shown.state,
				Reason: g.shown.reason, Detail: g.shown.detail, Owner: g.owner(now),
			})
		}
		a.watchers[w] = struct{}{}
	})
	if err != nil {
		return err
	}
	defer a.Post(context.WithoutCancel(ctx), requested{do: func() { delete(a.watchers, w) }})
	for _, e := range present {
		if err := fn(e); err != nil {
			return err
		}
	}
	for {
		select {
		case e, ok := <-w.entries:
			if !ok {
				return ErrWatcherSlow
			}
			if err := fn(e); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		case <-a.stopped:
			return w.rest(fn)
		}
	}
}

// rest hands fn what was told before the agent stopped.
func (w *watcher) rest(fn func(Entry) error) error {
	for {
		select {
		case e, ok := <-w.entries:
			if !ok {
				return ErrWatcherSlow
			}
			if err := fn(e); err != nil {
				return err
			}
		default:
			return ErrStopping
		}
	}
}

// watch replaces the set of addresses whose claimants matter.
func (a *Agent) watch() {
	all := map[netip.Addr]struct{}{}
	for _, v := range a.config.VIPs {
		for _, addr := range v.Addresses {
			all[addr] = struct{}{}
		}
	}
	a.watched.Store(&all)
}
