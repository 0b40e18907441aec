package lease

import (
	"errors"
	"time"

	"github.com/vipd/vipd/election"
	"github.com/vipd/vipd/election/vrrp"
)

// errFormerStore is an answer about a store that is not there any more.
var errFormerStore = errors.New("etcd was restored or made anew meanwhile")

// plan makes the orders that are wanted: a renewal, and one change of the store at
// a time. Each change says which revision it goes by, so a late one changes nothing.
func (m *Machine) plan(now time.Time) {
	if m.renewing == 0 {
		if !now.Before(m.renewAt) {
			o := Order{Kind: Renew, Lease: m.toRenew(), TTL: leaseTTLs * m.cfg.TTL, Timeout: m.pace()}
			if m.mine() && !m.slow {
				o.Seen, o.Self = m.owner.Revision, m.self()
			}
			m.order(o)
			m.renewing, m.renewSeen = m.number, o.Seen
		} else {
			m.wakeAt(m.renewAt)
		}
	}
	if m.writing != 0 || m.session.id == 0 || !m.seen {
		return
	}
	o, wanted := m.wanted(now)
	switch {
	case !wanted:
	case now.Before(m.writeAt):
		m.wakeAt(m.writeAt)
	default:
		o.Timeout = min(m.pace(), writeMax)
		m.order(o)
		m.writing, m.change = m.number, o
		if o.Kind == Take && m.mine() && o.Owner.TTL < m.owner.TTL && m.shortenedAt.IsZero() {
			m.shortenedAt = now
		}
	}
}

func (m *Machine) order(o Order) {
	m.number++
	o.Number = m.number
	m.orders = append(m.orders, o)
}

// wanted is what the store should be told now.
func (m *Machine) wanted(now time.Time) (o Order, wanted bool) {
	switch {
	case m.state == vrrp.Listening && m.off && m.mine():
		return m.passOrder(now), true
	case m.state == vrrp.Listening:
		return o, false
	case m.mine() && !m.holding() && !m.bootstraps && m.resigns && m.isOff(now):
		self := m.self()
		self.Band, self.Priority = election.Resigned, vrrp.PriorityResigned
		return Order{Kind: Resign, Lease: m.session.id, Seen: m.owner.Revision, Self: self}, true
	case m.mine() && !m.holding() && m.unsure && !m.resigns && m.state == vrrp.Backup && m.session.valid(now):
		return m.take(m.owner.Revision, m.owner.Reason), true
	case m.mayTake(now):
		return m.take(m.owner.Revision, election.LeaseFree), true
	case m.overdue(now):
		o = m.take(m.owner.Revision, election.LeaseFree)
		o.Owner.Term, o.Unrenewed, o.Renewal = m.terms+1, true, m.renewal
		return o, true
	case m.mine() && !m.holding() && !m.bootstraps:
		return o, false // it is about to be held
	case m.mine() && m.state == vrrp.Active && m.owner.TTL != m.self().TTL:
		return m.take(m.owner.Revision, m.owner.Reason), true // the others are to wait for another time
	}
	self := m.self()
	if m.stood.Record == self && m.stood.Lease == m.session.id || !self.Addr.IsValid() {
		return o, false
	}
	return Order{Kind: Stand, Lease: m.session.id, Self: self}, true
}

// isOff: nothing of this node answers for the addresses any more.
func (m *Machine) isOff(now time.Time) bool {
	if m.off || !now.Before(m.offBy) {
		return true
	}
	m.wakeAt(m.offBy)
	return false
}

func (m *Machine) self() Record {
	r := Record{Node: m.cfg.Node, Addr: m.own, Band: m.Band(), Priority: m.rank(), TTL: m.cfg.TTL}
	if m.session.id != 0 {
		r.TTL = min(r.TTL, m.session.ttl/leaseTTLs)
	}
	if m.State() == vrrp.Init { // it cannot serve
		r.Band, r.Priority = election.Resigned, vrrp.PriorityResigned
	}
	return r
}

// passOrder gives the key to the successor, or writes it anew, so that no former
// try can come about any more.
func (m *Machine) passOrder(now time.Time) Order {
	p := &m.pass
	if !now.Before(p.until) || p.to.Lease == 0 {
		return m.take(m.owner.Revision, m.owner.Reason)
	}
	reason := election.OwnerUnhealthy
	if m.duty != vrrp.Serve {
		reason = election.OwnerDraining
	}
	return Order{
		Kind: Pass, Lease: m.session.id, Seen: m.owner.Revision, To: p.to,
		Owner: Owner{Record: p.to.Record, Term: m.terms + 1, From: m.cfg.Node, Reason: reason},
	}
}

// take makes the key this node's. One that is its own already, by this life or an
// earlier one, keeps its term.
func (m *Machine) take(seen int64, reason election.Reason) Order {
	o := Owner{Record: m.self(), Term: m.owner.Term, Reason: reason}
	if m.owner.Lease == 0 {
		o.Term = m.terms + 1
		seen = 0
	}
	return Order{Kind: Take, Lease: m.session.id, Seen: seen, Viewed: m.viewed, Owner: o}
}

// mayTake: the key is free, or left by an earlier life of this node, and nobody
// is in the way.
func (m *Machine) mayTake(now time.Time) bool {
	former := m.owner.Lease != 0 && m.owner.Lease != m.session.id && m.owner.Node == m.cfg.Node && m.owner.Addr == m.own
	if !former && m.owner.Lease != 0 || m.duty != vrrp.Serve || !m.own.IsValid() {
		return false
	}
	if now.Before(m.doubtUntil) {
		m.wakeAt(m.doubtUntil)
		return false
	}
	switch {
	case !m.session.valid(now), m.resigns:
		return false
	case !former && m.shown.Lease != 0:
		return false // a View is to tell why it is free
	case m.bootstraps:
		return m.wire.Owns() && m.bind(now)
	case m.state == vrrp.Active: // without etcd it kept the VIP
		return true
	case m.state != vrrp.Backup:
		return false
	case former:
		m.adopts = true
		return true
	}
	m.adopts = false
	return m.waited(now, latest(m.freeSince, m.aliveUntil))
}

// overdue: the owner has not renewed for as long as it counts on a renewal, so it
// owns no more, whenever the store ends its lease.
func (m *Machine) overdue(now time.Time) bool {
	m.adopts = false
	switch {
	case m.owner.Lease == 0, m.mine(), m.owner.TTL == 0:
		return false
	case m.bootstraps, m.state != vrrp.Backup, m.duty != vrrp.Serve, !m.session.valid(now), !m.own.IsValid():
		return false
	}
	return m.waited(now, latest(m.aliveUntil, m.doubtUntil))
}

// waited tells whether better candidates, and an owner that the store knows nothing
// of, had their time since the key could be taken.
func (m *Machine) waited(now, since time.Time) bool {
	at := since.Add(time.Duration(m.place()) * takeStep)
	at = latest(at, latest(m.quiet(), m.upSince.Add(m.cfg.VRRP.StartupDelay)))
	if now.Before(at) {
		m.wakeAt(at)
		return false
	}
	return true
}

// latest is the later of two instants.
func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// place is how many candidates would be better owners than this node.
func (m *Machine) place() int {
	n := 0
	for _, c := range m.candidates {
		if c.Node != m.cfg.Node && c.Node != m.owner.Node && c.Band > election.Draining && better(true, c.Record, true, m.self()) {
			n++
		}
	}
	return n
}

// written hears what became of a change.
func (m *Machine) written(now time.Time, a Answer) {
	m.writing = 0
	m.writeAt = now
	if a.Err != nil {
		m.noteTrouble(a.Err.Error())
		m.writeAt = now.Add(m.pause())
		m.unsure = m.unsure || a.Kind == Pass || a.Kind == Resign
		return
	}
	if a.Lost {
		if m.change.Lease == m.session.id {
			m.lostSession(now)
		}
		return
	}
	switch a.Kind {
	case Stand, Resign:
		if a.Done {
			m.stood = Candidate{Record: m.change.Self, Lease: m.change.Lease}
		}
	case Pass:
		if !a.Done && m.mine() {
			m.pass.to, _ = m.successor() // it is not what it was
			m.writeAt = now.Add(takeStep)
		}
	case Take:
		if a.Done {
			m.ownedFrom = latest(m.ownedFrom, a.Sent)
			return
		}
		if a.Renewal > m.renewal { // a View tells of it later, or not at all
			m.renewal, m.aliveUntil = a.Renewal, over(now, m.owner.TTL)
		}
		if !m.bootstraps {
			m.writeAt = now.Add(retryPause)
		}
	case Leave, Renew:
	}
}

// Farewell is the last order of a node that stops: it takes its candidacy back at
// once. A key that nobody took from it stays until its lease ends: the next start
// finds it.
func (m *Machine) Farewell() (o Order, wanted bool) {
	if m.session.id == 0 || m.mine() {
		return o, false
	}
	return Order{Kind: Leave, Lease: m.session.id, Timeout: farewellMax}, true
}
