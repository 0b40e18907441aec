package lease

import (
	"net/netip"
	"slices"
	"time"

	"github.com/vipd/vipd/election"
	"github.com/vipd/vipd/election/vrrp"
)

// Config is what a Machine needs to know of its group.
type Config struct {
	// Node is this node's name.
	Node string
	// TTL is the lease's, whole seconds, MinTTL at the least.
	TTL time.Duration
	// Keep goes on owning when the lease cannot be confirmed: two may own then.
	Keep bool
	// Bootstrap lets VRRP elect until the store was reached once.
	Bootstrap bool
	// Fence is the most that the kernel keeps an address for.
	Fence time.Duration
	// Addresses are the group's, of both families.
	Addresses []netip.Addr
	// VRRP has the addresses of the adverts' family, priorities and the rhythm of adverts.
	VRRP vrrp.Config
}

// Machine elects the owner of one VIP group, seen from one node. It is not safe
// for concurrent use.
type Machine struct {
	cfg   Config
	own   netip.Addr
	state vrrp.State

	healthy    bool
	unproven   bool
	duty       vrrp.Duty
	dutyReason election.Reason
	// members are nodes that hear this one.
	members []netip.Addr

	// wire elects while bootstraps, and tells later what is odd about adverts.
	wire       *vrrp.Machine
	bootstraps bool
	// outranked: the holder of a lease was heard.
	outranked bool
	// boundAt is since when the owner by VRRP is bound by what it counts on of the
	// store; asked: it has asked for the key.
	boundAt time.Time
	asked   bool
	// leftover: the addresses may be on this node from an earlier life.
	leftover bool

	// addresses are the group's. refused are those that another group's owner had when
	// the owner key was at revision refusedAt; claimAt is when they are asked for again.
	addresses Addresses
	refused   []Claim
	refusedAt int64
	claimAt   time.Time

	session session
	// reached: the store has answered. trouble is why it does not, or did not do
	// what was asked; empty: it does.
	reached bool
	trouble string
	// unwritten is why the last change of the store was not made; empty: it was, or
	// nothing is to be changed.
	unwritten string

	// epoch, revision, owner, candidates and terms are the newest that is known of
	// the store; viewed is the last View's revision; seen: there was one. freeSince is when the owner key was first seen
	// to be free.
	seen       bool
	epoch      uint64
	revision   int64
	viewed     int64
	owner      Owner
	candidates []Candidate
	terms      uint64
	// renewal is the owner's last one. If there is no newer one until aliveUntil, it
	// has ended to own; zero: nobody is waited for.
	renewal    int64
	aliveUntil time.Time
	// ownedFrom is an instant before others could begin to wait for the end of this
	// node's ownership.
	ownedFrom time.Time
	// shortenedAt is an instant before the others could first learn that they are to
	// wait for less than they do; zero: they are not.
	shortenedAt time.Time
	freeSince   time.Time
	// doubtUntil ends the time in which another node may hold by a lease that the
	// store knows nothing of.
	doubtUntil time.Time

	// other is the other node that was last known as owner, holder its place
	// according to the store.
	other  vrrp.Sighting
	holder netip.Addr
	// stranger was heard as owner, and is not what the store says.
	stranger vrrp.Sighting
	// rival is another owner that was heard while this node is it.
	rival     vrrp.Sighting
	rivalTold time.Time
	defence   vrrp.Action

	upSince time.Time
	attempt uint64
	// activeSince is when this node became owner, term of which the key was then.
	activeSince time.Time
	term        uint64
	advertAt    time.Time
	claimUntil  time.Time
	// why and detail are the causes of a claim, told when it is one.
	why    election.Reason
	detail string
	// off: the addresses are off the segment, for sure. offBy is when they are,
	// whatever goes wrong.
	off   bool
	offBy time.Time
	// adopts: the key was this node's in an earlier life.
	adopts bool
	// resigns: this node has given the VIP up, and the key is to go.
	resigns bool
	pass    pass

	// number counts orders. renewing and writing are those under way, 0: none;
	// change is what the latter asked for last.
	number            uint64
	renewing, writing uint64
	// renewSeen is the renewal's Seen. slow: answers came too late, so this node says
	// nothing of owning until they come in time.
	renewSeen        int64
	slow             bool
	change           Order
	renewAt, writeAt time.Time
	// unsure: a change of the owner key may come about, now or later.
	unsure bool
	// stood is this node's candidacy as it was written; its revision is known when a
	// View had it. shown is the owner key of the last View.
	stood Candidate
	shown Owner

	deadline time.Time
	advert   vrrp.SendAdvert
	actions  []vrrp.Action
	orders   []Order
}

// New returns a machine in Init. leftover: see vrrp.New.
func New(cfg Config, leftover bool) *Machine {
	m := &Machine{
		cfg: cfg, bootstraps: cfg.Bootstrap, leftover: leftover, addresses: SetOf(cfg.Addresses),
		wire:    vrrp.New(cfg.VRRP, leftover),
		advert:  vrrp.SendAdvert{Priority: Priority, Checksum: cfg.VRRP.Checksum},
		actions: make([]vrrp.Action, 0, 8),
	}
	if !m.bootstraps {
		m.listen(time.Time{})
	}
	return m
}

// Step tells the machine an event and returns what to do, in order, before the
// next event. The slice is valid until then.
func (m *Machine) Step(now time.Time, ev vrrp.Event) []vrrp.Action {
	m.begin(now)
	m.note(now, ev)
	return m.settle(now)
}

// Seen tells what the store has. Views may come late, and twice.
func (m *Machine) Seen(now time.Time, v View) []vrrp.Action {
	m.begin(now)
	m.view(now, v)
	return m.settle(now)
}

// Answered tells what became of an order.
func (m *Machine) Answered(now time.Time, a Answer) []vrrp.Action {
	m.begin(now)
	m.answer(now, a)
	return m.settle(now)
}

// Off tells that the addresses are off the segment, as the last Release or the
// last Transition to Listening asked: nothing here answers who asks for them.
func (m *Machine) Off(now time.Time) []vrrp.Action {
	m.begin(now)
	m.off = !m.bootstraps && (!m.holding() || m.state == vrrp.Listening)
	return m.settle(now)
}

// Orders are the calls to the store that are to be made now. Each is returned
// once.
func (m *Machine) Orders() []Order {
	all := m.orders
	m.orders = nil
	return all
}

func (m *Machine) begin(now time.Time) {
	m.actions = m.actions[:0]
	m.expire(now)
}

// note takes an event in.
func (m *Machine) note(now time.Time, ev vrrp.Event) {
	switch ev := ev.(type) {
	case vrrp.Health:
		m.healthy, m.unproven = ev.Healthy, ev.Unproven
	case vrrp.SetDuty:
		m.duty, m.dutyReason = ev.Duty, ev.Reason
		m.resigns = m.resigns && ev.Duty != vrrp.Serve
	case vrrp.LinkUp:
		m.own = ev.Own
	case vrrp.Configure:
		m.cfg.VRRP = ev.Config
		if !ev.Config.FollowChecksum {
			m.advert.Checksum = ev.Config.Checksum
		}
	case vrrp.Members:
		m.members = ev.Addrs
	case vrrp.Tick, vrrp.Advert, vrrp.LinkDown, vrrp.Abandon, vrrp.Held, vrrp.Probed, vrrp.Reached, vrrp.Named, vrrp.Company, vrrp.Doubt:
	default:
		panic("lease: unhandled event")
	}
	if m.bootstraps {
		if m.wire.State() == vrrp.Init {
			m.upSince = now
		}
		m.actions = append(m.actions, m.wire.Step(now, ev)...)
		ad, ok := ev.(vrrp.Advert)
		m.outranked = m.outranked || ok && ad.Packet.Priority == Priority && m.concerns(ad)
		return
	}
	m.hearken(now, ev)
	switch ev := ev.(type) {
	case vrrp.LinkUp:
		m.linkUp(now)
	case vrrp.LinkDown:
		m.linkDown(now, ev)
	case vrrp.Abandon:
		m.abandon(now, ev)
	case vrrp.Held:
		if m.state == vrrp.Displacing && ev.Attempt == m.attempt {
			m.serve(now)
		}
	case vrrp.Advert:
		m.hear(now, ev)
	case vrrp.Tick, vrrp.Health, vrrp.SetDuty, vrrp.Configure, vrrp.Members, vrrp.Probed, vrrp.Reached, vrrp.Named, vrrp.Company, vrrp.Doubt:
	}
}

// settle brings everything in line, and plans what comes next.
func (m *Machine) settle(now time.Time) []vrrp.Action {
	m.deadline = time.Time{}
	if m.bootstraps {
		m.bootstrap(now)
	}
	if m.bootstraps && !m.boundAt.IsZero() {
		m.wakeAt(m.until())
	}
	if !m.bootstraps {
		m.agree(now)
		m.pursue(now)
		m.advertise(now)
	}
	m.plan(now)
	return m.actions
}

// wakeAt has the machine ticked at a time; zero: not.
func (m *Machine) wakeAt(at time.Time) { m.deadline = earliest(m.deadline, at) }

func (m *Machine) act(a vrrp.Action) { m.actions = append(m.actions, a) }

func (m *Machine) enter(to vrrp.State, reason election.Reason, detail string) {
	m.act(vrrp.Transition{From: m.state, To: to, Reason: reason, Detail: detail})
	m.state = to
}

// view takes over what the store has, unless something newer is known.
func (m *Machine) view(now time.Time, v View) {
	if !m.noteEpoch(now, v.Epoch) || v.Revision < m.viewed {
		return
	}
	m.heedEnd(now, v)
	m.viewed, m.candidates, m.terms = v.Revision, v.Candidates, max(m.terms, v.Term)
	m.lookForHands(now, v)
	m.setOwner(now, v.Revision, v.Owner)
	if v.Renewal > m.renewal && m.owner.TTL != 0 {
		m.aliveUntil = over(now, m.owner.TTL)
	}
	m.renewal = v.Renewal
	m.reached, m.seen = true, true
}

// heedEnd hears that the owner key is gone, be it one that this node never saw. If
// it was not given up, somebody deleted it by hand, or the store ended its lease: who
// held by it may hold on.
func (m *Machine) heedEnd(now time.Time, v View) {
	if v.Owner.Lease != 0 || m.shown.Lease == 0 && m.owner.Lease == 0 && v.Term <= m.terms {
		return
	}
	m.aliveUntil = over(now, max(m.cfg.TTL, m.owner.TTL))
	for _, c := range v.Candidates {
		if c.Lease == m.shown.Lease && c.Band == election.Resigned && v.Term == m.shown.Term {
			m.aliveUntil = time.Time{}
		}
	}
}

// lookForHands looks for a candidacy of this node's that somebody deleted.
func (m *Machine) lookForHands(now time.Time, v View) {
	m.shown = v.Owner
	own := slices.IndexFunc(v.Candidates, func(c Candidate) bool { return c.Node == m.cfg.Node && c.Lease == m.session.id })
	if own < 0 && m.stood.Revision != 0 && m.stood.Lease == m.session.id && m.session.valid(now) {
		m.doubt(now)
		m.stood = Candidate{}
	} else if own >= 0 && m.stood.Record == v.Candidates[own].Record {
		m.stood.Revision = v.Candidates[own].Revision
	}
}

// noteEpoch tells whether something is about the store as it is now. Another
// store has other leases, and its revisions tell nothing about those of the
// former one.
func (m *Machine) noteEpoch(now time.Time, epoch uint64) bool {
	if epoch > m.epoch && m.seen {
		m.doubt(now)
		m.session, m.stood = session{}, Candidate{}
		m.revision, m.viewed, m.owner, m.shown, m.candidates, m.terms = 0, 0, Owner{}, Owner{}, nil, 0
		m.renewal, m.ownedFrom, m.shortenedAt = 0, time.Time{}, time.Time{}
		m.renewAt = now
	}
	m.epoch = max(m.epoch, epoch)
	return epoch == m.epoch
}

func (m *Machine) setOwner(now time.Time, revision int64, o Owner) {
	if revision < m.revision {
		return
	}
	m.revision = revision
	changed, free := o.Revision != m.owner.Revision, o.Lease == 0
	if changed {
		m.unsure = false // what compared with the former revision fails from now on
		if !m.shortenedAt.IsZero() {
			m.ownedFrom, m.shortenedAt = latest(m.ownedFrom, m.shortenedAt), time.Time{}
		}
	}
	if changed && !free {
		m.aliveUntil = over(now, o.TTL)
	}
	if free && (m.owner.Lease != 0 || !m.seen) {
		m.freeSince = now
	}
	m.owner, m.terms = o, max(m.terms, o.Term)
	switch {
	case !m.mine():
		m.resigns = false
	case changed:
		m.renewAt = now // so that it is known for how long
	}
	if !free && !m.mine() && o.Addr != m.holder {
		m.holder = o.Addr
		if m.stranger.Addr == o.Addr {
			m.stranger = vrrp.Sighting{}
		}
		m.other = vrrp.Sighting{Addr: o.Addr, Priority: Priority, Rhythm: m.cfg.VRRP.Rhythm}
	}
}

// answer takes the answer to an order in.
func (m *Machine) answer(now time.Time, a Answer) {
	if a.Number != m.renewing && a.Number != m.writing {
		return
	}
	if a.Err == nil && !m.noteEpoch(now, a.Epoch) {
		a.Err = errFormerStore
	}
	if a.Err == nil && a.Revision != 0 {
		m.setOwner(now, a.Revision, a.Owner)
	}
	if a.Kind == Renew {
		m.renewed(now, a)
		return
	}
	m.written(now, a)
}

// Deadline is when the machine wants a Tick; zero: never.
func (m *Machine) Deadline() time.Time {
	if m.bootstraps {
		return earliest(m.deadline, m.wire.Deadline())
	}
	return m.deadline
}

// State is the machine's state.
func (m *Machine) State() vrrp.State {
	if m.bootstraps {
		return m.wire.State()
	}
	return m.state
}

// Owns tells whether this node is the group's owner.
func (m *Machine) Owns() bool {
	s := m.State()
	return s == vrrp.Active || s == vrrp.Listening
}

// holding: the addresses are on this node, or on their way there or off it.
func (m *Machine) holding() bool {
	return m.state == vrrp.Active || m.state == vrrp.Listening || m.state == vrrp.Displacing
}

// Band is this node's own band.
func (m *Machine) Band() election.Band {
	switch {
	case m.duty == vrrp.Resign:
		return election.Resigned
	case m.duty == vrrp.Drain:
		return election.Draining
	case m.healthy:
		return election.Healthy
	}
	return election.Unhealthy
}

// Priority is the byte that this node advertises as owner, or by which it is
// chosen as one.
func (m *Machine) Priority(now time.Time) uint8 {
	switch {
	case m.bootstraps:
		return m.wire.Priority(now)
	case m.Owns():
		return Priority
	}
	return m.rank()
}

// rank is this node's priority among those of its band.
func (m *Machine) rank() uint8 {
	switch m.Band() {
	case election.Resigned:
		return vrrp.PriorityResigned
	case election.Draining:
		return vrrp.PriorityDraining
	case election.Unhealthy:
		return m.cfg.VRRP.UnhealthyPriority
	case election.Healthy:
		return m.cfg.VRRP.Priority
	}
	panic("lease: unhandled band")
}

// Owner is the other node that is owner, or was last; ok: the store says so, or
// its adverts do.
func (m *Machine) Owner(now time.Time) (s vrrp.Sighting, ok bool) {
	if m.bootstraps {
		return m.wire.Owner(now)
	}
	// A node that is cut off from the store may think the key its own still.
	if (m.owner.Lease == 0 || m.mine() && !m.owns(now)) && fresh(now, m.stranger) {
		return m.stranger, true
	}
	return m.other, m.owner.Lease != 0 && !m.mine() && m.other.Addr == m.owner.Addr || fresh(now, m.other)
}

// Rival is another node that advertises as owner while this one is it.
func (m *Machine) Rival(now time.Time) (s vrrp.Sighting, ok bool) {
	if m.bootstraps {
		return m.wire.Rival(now)
	}
	return m.rival, m.Owns() && fresh(now, m.rival)
}

// mine: the owner key is bound to this node's lease.
func (m *Machine) mine() bool {
	return m.owner.Lease != 0 && m.owner.Lease == m.session.id && m.owner.Node == m.cfg.Node
}
