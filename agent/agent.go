package agent

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/election/vrrp"
	"github.com/vipd/vipd/peer"
)

// Options are what an Agent is made of.
type Options struct {
	Config *config.Config
	// Path is the configuration file's, for status.
	Path string
	// Version is this program's.
	Version string
	PID     int
	// Load reads the configuration anew, for Reload.
	Load func() (*config.Config, error)
	// Boot and Secret are random, drawn for this life of the daemon.
	Boot   peer.Boot
	Secret [32]byte
	// Keys are those of the configured auth_key_file; nil: it is not set.
	Keys  *peer.Keyring
	Edges Edges
	Log   *slog.Logger
	// LogLevel is Log's; Reload sets it.
	LogLevel *slog.LevelVar
}

// Agent is the daemon's core. Its exported methods are safe for concurrent use;
// all else belongs to the loop.
type Agent struct {
	opts  Options
	edges Edges
	log   *slog.Logger

	events  chan Event
	wake    chan struct{}
	stopped chan struct{}
	applier *applier
	carrier *carrier

	// What follows belongs to the loop.

	config  *config.Config
	started time.Time
	groups  []*group
	// departing are addresses that the configuration has no more.
	departing  []*group
	links      map[string]*link
	interfaces map[string]Interface
	// view is interfaces as configuration looks at them; nil: to be made anew.
	view    []config.Interface
	known   bool
	drained Drained
	cluster cluster
	// membership is what etcd tells of the cluster.
	membership membership
	// announcing is about routes.
	announcing announcing
	drains     []*drain
	shutdown   *shutdown
	// stopEnds is the end of a stop's budget; nil: there is no stop. It is read by
	// other goroutines.
	stopEnds atomic.Pointer[time.Time]
	// abilities are the kernel's for open connections; rulesError is what it
	// refused last, and renewAt when it has to hear again of what it keeps up.
	abilities  Abilities
	rulesError string
	renewAt    time.Time
	// found are VIPs that an earlier life left on lo; adoptBy ends the time in
	// which the rules of that life are left alone.
	found   []netip.Addr
	adoptBy time.Time
	frame   vrrp.Frame
	packet  vrrp.Packet
	history []Entry
	// notices are what programs are to be told, by VIP.
	notices  map[string]*notices
	watchers map[*watcher]struct{}
	// discarded counts packets by reason until Loop publishes it.
	discarded map[string]uint64
	// spawn runs f until it returns; what it returns ends f's context.
	spawn func(f func(context.Context)) (end func())

	// watched are the VIPs whose claimants matter; read by other goroutines.
	watched atomic.Pointer[map[netip.Addr]struct{}]
	// last is the status that was built last; read when the loop does not
	// answer.
	last atomic.Pointer[Status]
	loop LoopCounters
	// marking keeps writers of the drained mark apart, reloading readers of the
	// configuration: the one that read last is to be the last to apply.
	marking, reloading sync.Mutex
}

// New returns an agent that has not started.
func New(o Options) *Agent {
	a := &Agent{
		opts: o, edges: o.Edges, log: o.Log, config: o.Config,
		events:     make(chan Event, 64),
		wake:       make(chan struct{}, 1),
		stopped:    make(chan struct{}),
		abilities:  o.Edges.Flows.Abilities(),
		carrier:    newCarrier(o.Edges.Flows),
		links:      map[string]*link{},
		interfaces: map[string]Interface{},
		watchers:   map[*watcher]struct{}{},
		discarded:  map[string]uint64{},
		notices:    map[string]*notices{},
		cluster:    newCluster(o),
	}
	a.applier = newApplier(o.Edges.onSegments(), a.carrier)
	a.watch()
	if o.Edges.Leases != nil {
		o.Edges.Leases.Use(o.Config.Etcd)
	}
	a.last.Store(&Status{Schema: Schema, Node: o.Config.Node, Version: o.Version, PID: o.PID, Config: o.Path, VIPs: []VIPStatus{}, Peers: []PeerStatus{}})
	return a
}

// Run runs the daemon until ctx ends; it then hands its VIPs over within the
// configured shutdown_timeout and returns. What it still holds after that is
// left to the kernel's deadline.
func (a *Agent) Run(ctx context.Context) error {
	// Edges outlive ctx: a VIP is handed over with their help.
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	g, inner := errgroup.WithContext(inner)
	a.spawn = func(f func(context.Context)) func() {
		ctx, end := context.WithCancel(inner)
		g.Go(func() error { defer end(); f(ctx); return nil })
		return end
	}
	g.Go(func() error {
		return a.applier.run(inner, func(done applied) { a.Post(inner, done) })
	})
	alarm := a.edges.Alarm
	if alarm == nil {
		alarm = clock{time.NewTimer(never)}
	}
	g.Go(func() error { return alarm.Run(inner) })
	g.Go(func() error {
		return a.carrier.run(inner, func(done carrierDone) { a.Post(inner, done) })
	})
	g.Go(func() error {
		defer cancel()
		a.start(time.Now())
		a.serve(ctx, inner, alarm)
		a.bequeath(time.Now())
		a.farewell(time.Now())
		a.leaveEtcd(inner)
		a.closeLinks()
		a.publishDiscarded()
		last := a.status(time.Now())
		a.last.Store(&last)
		close(a.stopped)
		a.closeNotices(time.Now())
		return nil
	})
	return g.Wait()
}

func (a *Agent) start(now time.Time) {
	a.started = now
	a.loop.reloaded(now)
	drained, err := a.edges.Mark.Load()
	if err != nil {
		a.log.Warn("the drained mark cannot be read; this node is taken for drained until vipd undrain", "error", err)
		drained = a.allDrained(now)
	}
	a.drained = drained
	if a.drained == nil {
		a.drained = Drained{}
	}
	for _, v := range a.config.VIPs {
		a.addGroup(now, v)
	}
	a.findShadows(now)
	a.reviseRoutes(now)
	a.followKeys()
	a.followMembers()
	a.spawn(a.watchRules)
	a.publish(now)
}

// serve is the loop.
func (a *Agent) serve(stop, inner context.Context, alarm Alarm) {
	stopping := stop.Done()
	for {
		at := a.deadline()
		arm(alarm, at)
		var ev Event
		select {
		case <-alarm.Rings():
		case <-a.wake:
		case ev = <-a.events:
		case <-stopping:
			stopping = nil
			ev = requested{do: func() { a.beginShutdown(time.Now()) }}
		case <-inner.Done():
			return
		}
		now := time.Now()
		if due(at, now) {
			a.loop.Lag.Observe(now.Sub(at))
		}
		if ev != nil {
			// An owner that was away learns that before anything makes it put
			// addresses back that are another's by now.
			if due(at, now) {
				a.turn(now)
			}
			a.handle(now, ev)
		}
		a.turn(now)
		if a.shutdown != nil && a.shutdown.over(now) {
			return
		}
	}
}

// never is an alarm's far future.
const never = 24 * time.Hour

func arm(alarm Alarm, due time.Time) {
	if due.IsZero() {
		alarm.Set(never)
		return
	}
	alarm.Set(time.Until(due))
}

// turn does what is due. Adverts come first: silence is judged only when none
// is queued. Hellos come after all that the election does.
func (a *Agent) turn(now time.Time) {
	a.receive(now)
	for _, g := range a.groups {
		g.tick(now)
	}
	a.tickDeparting(now)
	a.receiveHellos(now)
	a.tickCarrier(now)
	a.advanceDrains(now)
	if a.shutdown != nil {
		a.shutdown.advance(now)
	}
	a.sayHello(now)
	a.sayRoutes(now)
	a.publish(now)
}

// deadline is when the loop has to run next; zero: when something happens.
func (a *Agent) deadline() time.Time {
	var d time.Time
	for _, g := range a.groups {
		d = earliest(d, g.deadline())
	}
	for _, op := range a.drains {
		d = earliest(d, op.deadline())
	}
	if a.shutdown != nil {
		d = earliest(d, a.shutdown.deadline())
	}
	d = earliest(earliest(d, a.routesDeadline()), a.departingDeadline())
	return earliest(d, earliest(earliest(a.renewAt, a.adoptBy), a.helloDeadline()))
}

func (a *Agent) handle(now time.Time, ev Event) {
	a.touch(ev)
	switch ev := ev.(type) {
	case InterfaceChanged:
		a.interfaceChanged(now, ev.Interface)
	case InterfaceGone:
		a.interfaceGone(now, ev.Name)
	case InterfacesKnown:
		a.known, a.announcing.stale = true, true
		a.relinkAll(now)
	case AddressRemoved:
		a.addressRemoved(now, ev)
	case applied:
		ev.group.applied(now, ev)
	case proved:
		a.proved(now, ev)
	case carrierDone:
		a.carrierDone(now, ev)
	case probed:
		if !ev.group.gone {
			ev.group.probed(now, ev)
		}
	case reached:
		if !ev.group.gone {
			ev.group.reached(now, ev)
		}
	case claimed:
		a.claimed(now, ev)
	case checked:
		if !ev.group.gone {
			ev.group.checked(now, ev)
		}
	case peersRead:
		if !ev.group.gone {
			ev.group.peersRead(now, ev)
		}
	case leaseAnswered:
		if !ev.group.gone {
			ev.group.do(now, ev.group.machine.lease.Answered(now, ev.answer))
		}
	case leaseSeen:
		if !ev.group.gone {
			ev.group.leaseSeen(now, ev.view)
		}
	case leaseUnseen:
		if !ev.group.gone {
			ev.group.leaseUnseen(now, ev.err)
		}
	case leaseNoted:
		ev.group.leaseNoted(now, ev.err)
	case membersSeen:
		a.membersSeen(now, ev)
	case keysRead:
		a.keysRead(now, ev)
	case SpeakerChanged:
		a.speakerChanged(now, ev)
	case pathProved:
		if !ev.group.gone {
			ev.group.pathProved(now, ev)
		}
	case requested:
		ev.do()
	default:
		panic("agent: unhandled event")
	}
}

// touch marks the groups whose deadline an event may change: its own group's,
// where it is about one.
func (a *Agent) touch(ev Event) {
	switch ev := ev.(type) {
	case applied:
		ev.group.stale = true
	case probed:
		ev.group.stale = true
	case reached:
		ev.group.stale = true
	case checked:
		ev.group.stale = true
	case leaseAnswered:
		ev.group.stale = true
	case leaseSeen:
		ev.group.stale = true
	case leaseNoted:
	default:
		for _, g := range a.groups {
			g.stale = true
		}
	}
}

// ask runs do in the loop and waits for it.
func (a *Agent) ask(ctx context.Context, do func()) error {
	done := make(chan struct{})
	a.Post(ctx, requested{do: func() { do(); close(done) }})
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-a.stopped:
		return ErrStopping
	}
}

// Alive returns nil when the loop answers.
func (a *Agent) Alive(ctx context.Context) error { return a.ask(ctx, func() {}) }
