package lease

import (
	"fmt"
	"slices"
	"time"

	"github.com/vipd/vipd/election"
	"github.com/vipd/vipd/election/vrrp"
)

// pass is a planned move, as its former owner sees it: its addresses go off the
// segment, then the key goes to the successor, in one transaction. Between the two
// this node serves whoever knows its MAC.
type pass struct {
	to     Candidate
	reason election.Reason
	// muteBy ends the wait for the addresses, until the tries to pass the key, and
	// heardBy, which counts from overAt, the wait for the successor's advert.
	muteBy, until   time.Time
	overAt, heardBy time.Time
	// renewed is the last renewal, when another one is to come first; zero: none is.
	renewed time.Time
	// retryAt keeps one that was undone from being tried again; retries counts.
	retryAt time.Time
	retries int
}

// pursue looks whether another node is to own.
func (m *Machine) pursue(now time.Time) {
	switch m.state {
	case vrrp.Active:
		m.leave(now)
	case vrrp.Listening:
		if m.mine() {
			m.bringOver(now)
		}
	case vrrp.Init, vrrp.Backup, vrrp.Probing, vrrp.Displacing:
	}
}

// leave begins to pass the key on, if somebody is better.
func (m *Machine) leave(now time.Time) {
	to, ok := m.successor()
	if !ok {
		m.pass.renewed = time.Time{}
		return
	}
	if !m.owns(now) || m.trouble != "" || m.writing != 0 || m.unsure {
		return // a store that does not answer passes nothing on
	}
	if now.Before(m.pass.retryAt) {
		m.wakeAt(m.pass.retryAt)
		return
	}
	if !m.lasts(now) {
		return
	}
	m.pass.to, m.pass.reason = to, election.Unwell
	if m.duty != vrrp.Serve {
		m.pass.reason = m.dutyReason
	}
	m.pass.muteBy, m.pass.until, m.pass.overAt = now.Add(muteMax), time.Time{}, time.Time{}
	m.off = false
	m.enter(vrrp.Listening, m.pass.reason, fmt.Sprintf("%s (%v) is to take the lease", to.Node, to.Addr))
	m.bringOver(now)
}

// lasts tells whether the lease leaves the kernel a second, which is the least that it
// counts in, to keep the addresses on lo meanwhile. If not, a renewal comes first, and
// then the move, whatever that renewal leaves.
func (m *Machine) lasts(now time.Time) bool {
	p := &m.pass
	lifetime, _ := m.Lifetime(now, lifetimeMax)
	switch {
	case lifetime > 0:
	case p.renewed.IsZero():
		p.renewed, m.renewAt = m.ownedFrom, now
		return false
	case m.ownedFrom.Equal(p.renewed):
		return false
	}
	p.renewed = time.Time{}
	return true
}

// successor is the best candidate that this node makes way for. One that draining
// asks for has to be healthy; a daemon that stops makes way for any, and one whose
// checks have told nothing yet for none.
func (m *Machine) successor() (best Candidate, ok bool) {
	least := election.Healthy
	switch {
	case m.Band() == election.Healthy, m.duty == vrrp.Serve && m.unproven:
		return best, false
	case m.duty == vrrp.Resign && m.dutyReason == election.Shutdown:
		least = election.Unhealthy
	}
	heard := func(c Candidate) bool { return slices.Contains(m.members, c.Addr) }
	for _, c := range m.candidates {
		if c.Node == m.cfg.Node || c.Band < least || !c.Addr.IsValid() || c.Lease == 0 || !c.Addresses.Agrees(m.addresses) {
			continue
		}
		if !ok || better(heard(c), c.Record, heard(best), best.Record) {
			best, ok = c, true
		}
	}
	return best, ok
}

// better orders those who may own: who hears this node, then by band, priority and
// address.
func better(heard bool, a Record, otherHeard bool, b Record) bool {
	switch {
	case a.Band != b.Band:
		return a.Band > b.Band
	case heard != otherHeard:
		return heard
	case a.Priority != b.Priority:
		return a.Priority > b.Priority
	}
	return b.Addr.Less(a.Addr)
}

// bringOver waits for the addresses to be off, and for the key to be over. A
// transaction whose outcome is not known is tried again: it can come about only
// once.
func (m *Machine) bringOver(now time.Time) {
	p := &m.pass
	switch {
	case !m.off && now.Before(p.muteBy):
		m.wakeAt(p.muteBy)
	case !m.off:
		m.resume(now)
	case p.until.IsZero():
		p.until = now.Add(passMax)
		m.wakeAt(p.until)
	case m.writing == 0 && m.cfg.Keep && m.trouble != "":
		m.resume(now)
	case now.Before(p.until) && p.to.Lease != 0:
		m.wakeAt(p.until)
	case m.writing == 0 && !m.unsure:
		m.resume(now)
	}
}

// resume undoes a move: this node serves on.
func (m *Machine) resume(now time.Time) {
	retries := m.pass.retries
	m.why, m.detail = election.HoldFailed, "the lease could not be passed on"
	m.serve(now)
	m.pass.retryAt, m.pass.retries = now.Add(min(passRetry<<retries, passRetryMax)), min(retries+1, 5)
	m.wakeAt(m.pass.retryAt)
	m.attempt++
	m.off = false
	m.act(vrrp.Hold{Attempt: m.attempt})
}

// passed hears that the key is another's. This node takes new work for those who
// know its MAC until the successor says that it serves.
func (m *Machine) passed(now time.Time) {
	if m.owner.Lease == 0 || m.owner.From != m.cfg.Node {
		m.lose(now, election.LeaseLost, m.whyLost())
		return
	}
	p := &m.pass
	if p.overAt.IsZero() {
		p.overAt, p.heardBy = now, now.Add(heardMax)
	}
	if m.other.Heard.Before(p.overAt) && now.Before(p.heardBy) {
		m.wakeAt(p.heardBy)
		return
	}
	m.lose(now, p.reason, fmt.Sprintf("%s (%v) has the lease", m.owner.Node, m.owner.Addr))
}
