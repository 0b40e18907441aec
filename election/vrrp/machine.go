package vrrp

import (
	"net/netip"
	"time"

	"github.com/vipd/vipd/election"
)

// Config is what a Machine needs to know of its group.
type Config struct {
	VRID uint8
	// Addresses are those of the advert family, as sent.
	Addresses []netip.Addr
	// Rhythm is that of this node's adverts as owner. Adverts of both versions are
	// heard all the same.
	Rhythm
	// Priority is sent while healthy, UnhealthyPriority while not.
	Priority, UnhealthyPriority uint8
	// Preempt displaces a live owner of lower priority in the same band
	// (RFC 9568 Preempt_Mode).
	Preempt bool
	// PreemptDelay is how long health must have been good before that.
	PreemptDelay time.Duration
	// StartupDelay is how long to hear before the first claim.
	StartupDelay time.Duration
	// Peers are the other members, where they are known.
	Peers []netip.Addr
	// Checksum is the form sent; with FollowChecksum only until another form is
	// heard of the group.
	Checksum       Checksum
	FollowChecksum bool
}

// Sighting is what was last heard of an owner.
type Sighting struct {
	Addr     netip.Addr
	Priority uint8
	// Rhythm is that of its adverts.
	Rhythm
	// Heard is when.
	Heard time.Time
}

func sighting(now time.Time, from netip.Addr, p *Packet) Sighting {
	return Sighting{Addr: from, Priority: p.Priority, Rhythm: Rhythm{p.Version, p.Interval}, Heard: now}
}

// Machine elects the owner of one VIP group, seen from one node. It is not safe
// for concurrent use.
type Machine struct {
	cfg      Config
	own      netip.Addr
	state    State
	deadline time.Time

	healthy      bool
	healthySince time.Time
	duty         Duty
	dutyReason   election.Reason

	// owner is the other node that was last taken for the owner.
	owner Sighting
	// rival is the other owner heard while Active; defence is the Defend against
	// it, kept so that a duel allocates nothing.
	rival      Sighting
	rivalSince time.Time
	rivalTold  bool
	// activeSince is when this node became the owner.
	activeSince time.Time
	defence     Action
	// heard: an advert of the group since start or carrier-up.
	heard bool
	// doubtful: the list of peers may be out of date.
	doubtful bool
	// lonelyUntil ends the time in which an owner that heard nobody advertises
	// the lowest value of its band.
	lonelyUntil time.Time
	// company is when a member was first heard otherwise than by adverts, since
	// start or carrier-up.
	company time.Time
	// namedBy is the owner that named this node its successor; members are
	// known otherwise than by configuration.
	namedBy netip.Addr
	members []netip.Addr
	// leftover: an earlier life of this daemon may have left the addresses on.
	leftover bool

	// silentFrom starts the timer for silence: the owner's last sign of life.
	silentFrom time.Time
	// startupUntil is the end of StartupDelay.
	startupUntil time.Time
	// displaceAt is when to leave an owner that is alive; zero: not.
	displaceAt     time.Time
	displaceReason election.Reason
	// displaceLimit ends the wait for the addresses while Displacing.
	displaceLimit time.Time
	// retryAfter keeps a displacement that was undone from being tried again.
	retryAfter time.Time
	retries    int
	lateBy     time.Duration
	lateStarts int

	attempt uint64
	// asking: a probe is under way. answered: when the VIP was last answered
	// for by a station that sends no adverts.
	asking   bool
	answered time.Time

	// oldInterval spaces the next lengthened adverts.
	oldInterval time.Duration
	lengthened  int

	// doubted is an owner that may not hear this node; questions counts what was
	// asked about that.
	doubted   judged
	questions uint64

	foreign, differs, ownAddress, deafness episodeOf

	advert  SendAdvert
	actions []Action
}

// New returns a machine in Init. leftover says that the group's addresses may
// be on this node from before: they are released when another owner is heard.
func New(cfg Config, leftover bool) *Machine {
	return &Machine{
		cfg: cfg, leftover: leftover,
		advert:  SendAdvert{Checksum: cfg.Checksum},
		actions: make([]Action, 0, 8),
	}
}

// Step tells the machine an event and returns what to do. The slice is valid
// until the next Step. Events that do not concern the state are ignored.
func (m *Machine) Step(now time.Time, ev Event) []Action {
	m.actions = m.actions[:0]
	switch ev := ev.(type) {
	case Tick:
		m.tick(now)
	case Advert:
		m.hear(now, ev.From, ev.Packet)
	case LinkUp:
		m.linkUp(now, ev.Own)
	case LinkDown:
		m.linkDown(ev.Reason, ev.Detail)
	case Health:
		m.setHealth(now, ev)
	case SetDuty:
		m.setDuty(now, ev)
	case Abandon:
		m.abandon(now, ev)
	case Held:
		m.held(now, ev)
	case Probed:
		m.probed(now, ev)
	case Reached:
		m.reached(now, ev)
	case Configure:
		m.configure(now, ev.Config)
	case Named:
		m.named(now, ev.By)
	case Members:
		m.setMembers(now, ev.Addrs)
	case Company:
		m.meet(now)
	case Doubt:
		m.doubtful = ev.Peers
	default:
		panic("vrrp: unhandled event")
	}
	return m.actions
}

// Deadline is when the machine wants a Tick; zero: never.
func (m *Machine) Deadline() time.Time { return m.deadline }

// State is the machine's state.
func (m *Machine) State() State { return m.state }

// Owns tells whether this node is the group's owner.
func (m *Machine) Owns() bool { return m.state == Active || m.state == Listening }

// Band is this node's own band.
func (m *Machine) Band() election.Band {
	switch {
	case m.duty == Resign:
		return election.Resigned
	case m.duty == Drain:
		return election.Draining
	case m.healthy:
		return election.Healthy
	}
	return election.Unhealthy
}

// Priority is the byte that this node would advertise at now.
func (m *Machine) Priority(now time.Time) uint8 {
	lonely := now.Before(m.lonelyUntil)
	switch m.Band() {
	case election.Resigned:
		return PriorityResigned
	case election.Draining:
		return PriorityDraining
	case election.Unhealthy:
		if lonely {
			return PriorityUnhealthyMin
		}
		return m.cfg.UnhealthyPriority
	case election.Healthy:
		if lonely {
			return PriorityHealthyMin
		}
		return m.cfg.Priority
	}
	panic("vrrp: unhandled band")
}

// Owner is the other node that was last heard as owner; ok tells whether it
// still counts as alive at now.
func (m *Machine) Owner(now time.Time) (s Sighting, ok bool) {
	return m.owner, m.owner.alive(now)
}

// Rival is the other node that advertises as owner while this one is it; ok
// tells whether there is one at now.
func (m *Machine) Rival(now time.Time) (s Sighting, ok bool) {
	return m.rival, m.Owns() && m.rival.alive(now)
}

// alive: not silent for as long as the most patient backup waits.
func (s *Sighting) alive(now time.Time) bool {
	return s.Addr.IsValid() && s.Priority != PriorityResigned &&
		now.Sub(s.Heard) < s.ActiveDownInterval(0)
}

// beats is RFC 9568 6.4.3: the higher priority, on a tie the higher address.
func beats(priority uint8, addr netip.Addr, otherPriority uint8, other netip.Addr) bool {
	if priority != otherPriority {
		return priority > otherPriority
	}
	return other.Less(addr)
}

func (m *Machine) act(a Action) { m.actions = append(m.actions, a) }

func (m *Machine) enter(to State, reason election.Reason, detail string) {
	m.act(Transition{From: m.state, To: to, Reason: reason, Detail: detail})
	m.state = to
}

// sendAdvert sends and arms the advert timer (RFC 9568 6.4.3, Adver_Timer).
func (m *Machine) sendAdvert(now time.Time) {
	spacing := m.cfg.Interval
	if m.lengthened > 0 {
		m.lengthened--
		spacing = min(spacing, m.oldInterval)
	}
	m.advert.Priority, m.advert.Rhythm = m.Priority(now), m.cfg.Rhythm
	m.act(&m.advert)
	m.deadline = now.Add(spacing)
}

// resign tells the others that nobody serves from now on, so that they need not
// wait for silence (RFC 9568 6.4.3, Shutdown).
func (m *Machine) resign() {
	if !m.Owns() {
		return
	}
	m.advert.Priority, m.advert.Rhythm = PriorityResigned, m.cfg.Rhythm
	m.act(&m.advert)
}

func (m *Machine) hold(afterSilence bool) {
	m.attempt++
	m.act(Hold{Attempt: m.attempt, AfterSilence: afterSilence})
}

func (m *Machine) linkUp(now time.Time, own netip.Addr) {
	m.own = own
	if m.state != Init {
		return
	}
	m.heard = false
	m.lonelyUntil, m.company = time.Time{}, time.Time{}
	m.owner, m.rival, m.doubted = Sighting{}, Sighting{}, judged{}
	m.startupUntil = now.Add(m.cfg.StartupDelay)
	m.retryAfter, m.retries = time.Time{}, 0
	m.enter(Backup, election.Startup, "")
	m.rest(now)
}

func (m *Machine) linkDown(reason election.Reason, detail string) {
	// A tracked interface may be the one that failed: then this is heard.
	m.resign()
	m.act(Release{})
	m.deadline = time.Time{}
	if m.state == Init {
		return
	}
	m.enter(Init, reason, detail)
}

func (m *Machine) setHealth(now time.Time, ev Health) {
	if ev.Healthy == m.healthy {
		return
	}
	m.healthy = ev.Healthy
	m.healthySince = now
	switch m.state {
	case Active:
		m.sendAdvert(now)
	case Backup, Displacing:
		m.judgeOwner(now)
		m.reconsider(now, election.Unwell, ev.Detail)
	case Init, Probing, Listening:
	}
}

func (m *Machine) setDuty(now time.Time, ev SetDuty) {
	if ev.Duty == m.duty {
		return
	}
	m.duty, m.dutyReason = ev.Duty, ev.Reason
	switch m.state {
	case Active:
		m.sendAdvert(now)
	case Backup, Probing, Displacing:
		if m.duty == Serve {
			m.rest(now)
			m.judgeOwner(now)
		}
		m.reconsider(now, m.dutyReason, "this node drains")
	case Init, Listening:
	}
}

func (m *Machine) abandon(now time.Time, ev Abandon) {
	m.resign()
	m.act(Release{})
	m.leftover = false
	if m.state == Init || m.state == Backup {
		return
	}
	m.enter(Backup, ev.Reason, ev.Detail)
	m.rest(now)
}

func (m *Machine) configure(now time.Time, cfg Config) {
	if m.Owns() && cfg.Interval > m.cfg.Interval {
		m.oldInterval, m.lengthened = m.cfg.Interval, lengthenAdverts
	}
	m.cfg = cfg
	if !cfg.FollowChecksum {
		m.advert.Checksum = cfg.Checksum
	}
	switch m.state {
	case Active:
		m.sendAdvert(now)
	case Backup, Displacing:
		m.judgeOwner(now)
		m.reconsider(now, election.Reloaded, "configuration changed")
	case Init, Probing, Listening:
	}
}

// tick acts on a deadline that has come.
func (m *Machine) tick(now time.Time) {
	if m.deadline.IsZero() || now.Before(m.deadline) {
		return
	}
	switch m.state {
	case Init:
	case Backup:
		m.backupTimer(now)
	case Probing:
		m.probeTimer(now)
	case Displacing:
		m.displaceTimer(now)
	case Active:
		m.advertTimer(now)
	case Listening:
		m.resume(now)
	}
}
