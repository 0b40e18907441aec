package vrrp

import (
	"flag"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"
)

var (
	simSeeds = flag.Uint64("sim.seeds", 150, "number of `seeds` that TestSimulation runs")
	simSeed  = flag.Uint64("sim.seed", 0, "the one `seed` to run, with its whole trace")
)

// TestSimulation lets a few nodes live through faults and looks, after each
// spell of them, for what must be true of the group. A failure names the seed;
// -sim.seed runs that one alone.
func TestSimulation(t *testing.T) {
	if *simSeed != 0 {
		simulate(t, *simSeed)
		return
	}
	seeds := *simSeeds
	if testing.Short() {
		seeds = min(seeds, 20)
	}
	for seed := uint64(1); seed <= seeds && !t.Failed(); seed++ {
		simulate(t, seed)
	}
}

// simulation is the story of one seed.
type simulation struct {
	*lan
	t    *testing.T
	seed uint64
	// spell numbers the spells of faults: what is left of an earlier one does
	// not happen any more.
	spell int
	// moved is when the last transition was, takeovers how many made an owner.
	moved     time.Time
	takeovers int
	// equal: every node has the same priority, as it is by default.
	equal bool
	// quiet: nothing happens, so no transition may either.
	quiet string
	// calm: no advert is lost or late, none of the faults is felt any more.
	calm bool
	// served: at every moment some kernel has the VIP.
	served bool
	failed bool
}

func simulate(t *testing.T, seed uint64) {
	s := &simulation{t: t, seed: seed}
	s.lan = newLAN(seed, 2+int(seed%6))
	s.told, s.after = s.judge, s.watch
	s.setUp()
	for range 2 {
		s.faults()
		s.settle("after the faults")
		s.heal()
		s.settle("after the partition")
		s.drainOwner()
		s.crashOwner()
		s.rejoin()
	}
	if *simSeed != 0 {
		t.Log("\n" + s.tail(len(s.lines)))
	}
}

func (s *simulation) failf(format string, args ...any) {
	s.t.Helper()
	if s.failed {
		return
	}
	s.failed = true
	s.t.Errorf("seed %d at %v: %s\n%s", s.seed, s.now.Sub(epoch), fmt.Sprintf(format, args...), s.tail(60))
}

var intervals = [...]time.Duration{20 * ms, 50 * ms, 100 * ms, 100 * ms, 200 * ms, time.Second, time.Second}

func (s *simulation) setUp() {
	preempt, mixed, known := s.chance(0.3), s.chance(0.3), s.chance(0.6)
	rhythm := s.rhythm()
	s.equal = s.chance(0.4)
	s.router, s.proxy = s.chance(0.5), s.chance(0.2)
	var all []netip.Addr
	for _, h := range s.hosts {
		all = append(all, h.own)
	}
	for _, h := range s.hosts {
		h.cfg = Config{
			VRID: 51, Addresses: []netip.Addr{last(".10")}, Rhythm: rhythm,
			Priority: s.healthyPriority(), UnhealthyPriority: uint8(2 + s.rng.IntN(126)),
			Preempt: preempt, FollowChecksum: true,
		}
		if mixed {
			h.cfg.Rhythm = s.rhythm()
			h.cfg.Preempt = s.chance(0.5)
			h.cfg.PreemptDelay = s.between(0, 3*time.Second)
			h.cfg.StartupDelay = s.between(0, 2*time.Second)
		}
		if known {
			h.cfg.Peers = slices.DeleteFunc(slices.Clone(all), func(a netip.Addr) bool { return a == h.own })
		}
		h.healthy = s.chance(0.8)
		s.in(s.between(0, 2*time.Second), h.start)
	}
	s.run(2 * time.Second)
}

// rhythm is of either version where the interval can be said in both.
func (s *simulation) rhythm() Rhythm {
	r := Rhythm{Interval: intervals[s.rng.IntN(len(intervals))]}
	if r.Interval%time.Second == 0 && s.chance(0.5) {
		r.Version = Version2
	}
	return r
}

func (s *simulation) healthyPriority() uint8 {
	if s.equal {
		return 200
	}
	return uint8(PriorityHealthyMin + s.rng.IntN(PriorityHealthyMax-PriorityHealthyMin+1))
}

// later does something within this spell of faults.
func (s *simulation) later(d time.Duration, do func()) {
	spell := s.spell
	s.in(d, func() {
		if s.spell == spell {
			do()
		}
	})
}

func (s *simulation) faults() {
	s.calm = false
	s.loss, s.twice, s.delay = 0.3*s.rng.Float64(), 0.1*s.rng.Float64(), s.between(ms, 20*ms)
	s.trace(nil, "faults begin: loss %.2f", s.loss)
	end := s.now.Add(s.between(3*time.Second, 15*time.Second))
	for s.now.Before(end) {
		s.fault(s.hosts[s.rng.IntN(len(s.hosts))])
		s.run(s.between(20*ms, 800*ms))
	}
	s.spell++
	s.trace(nil, "faults end")
	s.loss, s.twice, s.delay = 0, 0, 300*time.Microsecond
	for _, h := range s.hosts {
		s.repair(h)
		clear(s.deaf[h.index])
	}
	s.rewire()
}

func (s *simulation) setDeaf(a, b *host, deaf bool) {
	s.deaf[a.index][b.index] = deaf
	s.rewire()
}

// repair ends what would end by itself; hosts may stay off, nodes drained or
// unhealthy, the segment parted.
func (s *simulation) repair(h *host) {
	h.refuses, h.slow = false, false
	h.mute, h.deafened = false, false
	if h.frozen {
		h.thaw()
	}
	if h.paused {
		h.resume()
	}
	if h.unplugged {
		h.plug()
	}
	if h.daemon == nil && s.chance(0.7) {
		h.start()
	}
}

func (s *simulation) fault(h *host) {
	d := s.between(20*ms, 6*time.Second)
	switch s.rng.IntN(15) {
	case 0:
		h.crash()
		s.later(d, h.start)
	case 1:
		if h.daemon != nil {
			h.kill()
			s.later(d, h.start)
		}
	case 2, 3:
		if !h.frozen {
			h.freeze()
			s.later(d, h.thaw)
		}
	case 4:
		if !h.paused && !h.down {
			h.pause()
			s.later(d, h.resume)
		}
	case 5:
		if !h.unplugged {
			h.unplug()
			s.later(d/2, h.plug)
		}
	case 6:
		for i := range s.side {
			s.side[i] = s.rng.IntN(2)
		}
		s.rewire()
		s.trace(nil, "parted: %v", s.side)
		s.later(d, s.join)
	case 7:
		other := s.hosts[s.rng.IntN(len(s.hosts))]
		s.setDeaf(h, other, true)
		s.trace(h, "does not hear %v", short(other.own))
		s.later(d/2, func() { s.setDeaf(h, other, false) })
	case 8, 9:
		h.setHealth(!h.healthy)
	case 10:
		h.setDuty([...]Duty{Serve, Serve, Drain, Resign}[s.rng.IntN(4)])
	case 11:
		h.refuses, h.slow = s.chance(0.5), s.chance(0.5)
		s.trace(h, "refuses: %v, slow: %v", h.refuses, h.slow)
		s.later(d/2, func() { h.refuses, h.slow = false, false })
	case 12:
		cfg := h.cfg
		cfg.Priority, cfg.Rhythm = s.healthyPriority(), s.rhythm()
		h.configure(cfg)
	case 13, 14:
		h.mute, h.deafened = s.chance(0.5), s.chance(0.5)
		s.rewire()
		s.trace(h, "mute: %v, deaf: %v", h.mute, h.deafened)
		s.later(d, func() { h.mute, h.deafened = false, false; s.rewire() })
	}
}

func (s *simulation) join() {
	clear(s.side)
	s.rewire()
	s.trace(nil, "joined")
}

// heal joins the segment and brings every node back, drained ones too; often it
// makes all of them well.
func (s *simulation) heal() {
	well := s.chance(0.6)
	s.join()
	for _, h := range s.hosts {
		if h.daemon == nil {
			h.start()
		}
		if h.duty != Serve {
			h.setDuty(Serve)
		}
		if well && !h.healthy {
			h.setHealth(true)
		}
	}
}

// settle waits until all is as it should be, for as long as the slowest election
// may take, and then for nothing to happen.
func (s *simulation) settle(when string) {
	s.trace(nil, "settling %s", when)
	// An undone displacement is tried again after 32 s at most, an answered
	// probe after 6 s; the rest is a few ActiveDownIntervals.
	bound := s.now.Add(displaceRetryMax + probeQuiet + probePause + s.maxDelays() + 6*s.patience())
	s.moved = s.now
	for (s.wrong() != "" || s.now.Sub(s.moved) < s.patience()) && s.now.Before(bound) {
		s.run(250 * ms)
	}
	s.calm = true
	s.stay(5*time.Second, when)
}

// patience is the longest wait for an owner that fell silent.
func (s *simulation) patience() time.Duration {
	longest := time.Duration(0)
	for _, h := range s.hosts {
		longest = max(longest, h.cfg.Interval)
	}
	return Rhythm{Interval: longest}.ActiveDownInterval(PriorityUnhealthyMin) + time.Duration(max(3, len(s.hosts)))*tieStep(longest)
}

func (s *simulation) maxDelays() time.Duration {
	longest := time.Duration(0)
	for _, h := range s.hosts {
		longest = max(longest, h.cfg.StartupDelay, h.cfg.PreemptDelay)
	}
	return longest
}

// stay lets d pass in which nothing may move.
func (s *simulation) stay(d time.Duration, when string) {
	s.check(when)
	s.quiet = when
	s.run(d)
	s.quiet = ""
	s.check(when)
}

func (s *simulation) check(when string) {
	s.t.Helper()
	if wrong := s.wrong(); wrong != "" {
		s.failf("%s: %s", when, wrong)
	}
}

// wrong looks at each part of the segment: one owner, which alone has the VIP,
// and it is the one that it should be.
func (s *simulation) wrong() string {
	for side := range 2 {
		var members, owners, holders []*host
		for _, h := range s.hosts {
			if h.daemon == nil || s.side[h.index] != side {
				continue
			}
			members = append(members, h)
			if h.owns() {
				owners = append(owners, h)
			}
			if h.has() {
				holders = append(holders, h)
			}
		}
		if wrong := s.wrongOwner(members, owners); wrong != "" {
			return wrong
		}
		if !slices.Equal(owners, holders) {
			return fmt.Sprintf("the owners are %v, the VIP is on %v", names(owners), names(holders))
		}
	}
	return ""
}

func (s *simulation) wrongOwner(members, owners []*host) string {
	eligible := filter(members, func(h *host) bool { return h.duty == Serve })
	healthy := filter(eligible, func(h *host) bool { return h.healthy })
	switch {
	case len(owners) > 1:
		return fmt.Sprintf("%v own at once", names(owners))
	case len(owners) == 0 && len(eligible) > 0:
		return fmt.Sprintf("nobody owns, %v could", names(eligible))
	case len(owners) == 0:
		return ""
	}
	owner := owners[0]
	if owner.daemon.State() != Active {
		return fmt.Sprintf("%v owns and is still %v", short(owner.own), owner.daemon.State())
	}
	if len(healthy) > 0 && !slices.Contains(healthy, owner) {
		return fmt.Sprintf("%v owns, %v are healthy", short(owner.own), names(healthy))
	}
	for _, h := range members {
		if h == owner {
			continue
		}
		mine, theirs := h.daemon.Priority(s.now), owner.daemon.Priority(s.now)
		if h.duty == Serve && h.cfg.Preempt && BandOf(mine) == BandOf(theirs) && mine > theirs {
			return fmt.Sprintf("%v owns with priority %d, %v has %d and preempts", short(owner.own), theirs, short(h.own), mine)
		}
		seen, alive := h.daemon.Owner(s.now)
		if seen.Addr != owner.own || alive == (owner.duty == Resign) {
			return fmt.Sprintf("%v takes %v for the owner, it is %v", short(h.own), seen.Addr, short(owner.own))
		}
	}
	return ""
}

func filter(hosts []*host, keep func(*host) bool) []*host {
	var kept []*host
	for _, h := range hosts {
		if keep(h) {
			kept = append(kept, h)
		}
	}
	return kept
}

func names(hosts []*host) []string {
	var all []string
	for _, h := range hosts {
		all = append(all, short(h.own))
	}
	return all
}

func (s *simulation) owner() *host {
	for _, h := range s.hosts {
		if h.owns() {
			return h
		}
	}
	return nil
}

// judge looks at a transition.
func (s *simulation) judge(h *host, tr Transition) {
	s.moved = s.now
	if tr.To == Active {
		s.takeovers++
	}
	if s.quiet != "" {
		s.failf("%s: %v moves from %v to %v though nothing happens", s.quiet, short(h.own), tr.From, tr.To)
	}
	if tr.To == Active && tr.From != Listening && !h.daemon.heard {
		s.judgeClaim(h)
	}
	if s.calm && tr.From == Active && tr.To == Backup && h.duty != Serve {
		s.judgeHandover(h)
	}
}

// judgeClaim: a node that never heard its group does not claim the VIP while a
// kernel answers for it. What was out of reach for a moment cannot be known.
func (s *simulation) judgeClaim(h *host) {
	asked := !h.probeStart.IsZero()
	if asked && s.rewired.After(h.probeStart) {
		return
	}
	for _, o := range s.hosts {
		if h.answeredBy(o) && (!asked || !o.onSince.After(h.probeStart)) {
			s.failf("%v claims the VIP, but %v has answered for it for %v", short(h.own), short(o.own), s.now.Sub(o.onSince))
		}
	}
}

// judgeHandover: a draining owner leaves when another one serves.
func (s *simulation) judgeHandover(h *host) {
	for _, o := range s.hosts {
		if o.owns() && s.hears(h, o) {
			return
		}
	}
	s.failf("%v drains and leaves the VIP to nobody", short(h.own))
}

// watch looks at the segment after each event.
func (s *simulation) watch() {
	if !s.served {
		return
	}
	for _, h := range s.hosts {
		if h.has() {
			return
		}
	}
	s.served = false
	s.failf("for a moment nobody has the VIP")
}

// drainOwner is a planned move: the VIP is served at every moment of it.
func (s *simulation) drainOwner() {
	old := s.owner()
	if old == nil || s.failed {
		return
	}
	s.served, s.takeovers = true, 0
	apart := s.apart(old)
	old.setDuty(Drain)
	s.run(maxMove + s.patience())
	s.check("after a drain")
	if apart && s.takeovers > 1 {
		s.failf("%v drained, and %d nodes took over", short(old.own), s.takeovers)
	}
	if could, does := s.successor(old), s.owner() != old; could != does {
		s.failf("%v drains: a healthy node could own: %v, another one does: %v", short(old.own), could, does)
	}
	s.served = false
	old.setDuty(Serve)
	s.settle("after the drain")
}

// maxMove is how long a planned move may take: the skew of the longest interval,
// the tie steps and the addresses.
const maxMove = 2 * time.Second

// successor tells whether a healthy node could succeed h.
func (s *simulation) successor(h *host) bool {
	return slices.ContainsFunc(s.hosts, func(o *host) bool {
		return o != h && o.daemon != nil && o.healthy && o.duty == Serve
	})
}

// crashOwner: the owner's host goes off; within the bound another one owns.
func (s *simulation) crashOwner() {
	old := s.owner()
	if old == nil || s.failed {
		return
	}
	eligible := slices.ContainsFunc(s.hosts, func(o *host) bool { return o != old && o.daemon != nil && o.duty == Serve })
	s.takeovers = 0
	apart := s.apart(old)
	old.crash()
	s.run(s.patience())
	if apart && s.takeovers > 1 {
		s.failf("%v went off, and %d nodes took over", short(old.own), s.takeovers)
	}
	if eligible && s.owner() == nil {
		s.failf("%v went off, and nobody took over in %v", short(old.own), s.patience())
	}
	s.settle("after the crash")
}

// apart tells whether the tie rule keeps the successors of h from acting at the
// same time: they know each other, and neither skew nor band makes up for a step.
func (s *simulation) apart(h *host) bool {
	var first *host
	for _, o := range s.hosts {
		if o == h || o.daemon == nil {
			continue
		}
		if first == nil {
			first = o
		}
		if len(o.cfg.Peers) == 0 || o.cfg.Preempt || o.cfg.StartupDelay != 0 ||
			o.healthy != first.healthy || o.daemon.Priority(s.now) != first.daemon.Priority(s.now) {
			return false
		}
	}
	return first != nil
}

// rejoin: a node that comes back, with an equal or the highest priority, moves
// nothing unless it preempts or the owner is not healthy.
func (s *simulation) rejoin() {
	if s.failed {
		return
	}
	before := s.owner()
	for _, h := range s.hosts {
		if h.daemon != nil {
			continue
		}
		if !s.equal {
			h.cfg.Priority = PriorityHealthyMax
		}
		h.start()
		s.run(s.maxDelays() + 6*s.patience())
		moved := s.owner() != before
		if may := h.cfg.Preempt || before == nil || !before.healthy; moved && !may {
			s.failf("%v came back and the VIP moved from %v", short(h.own), short(before.own))
		}
	}
	s.settle("after a node came back")
}
