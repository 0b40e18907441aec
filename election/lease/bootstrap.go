package lease

import (
	"time"

	"github.com/vipd/vipd/election"
	"github.com/vipd/vipd/election/vrrp"
)

// bootstrap ends the election by VRRP when the store has answered: for its owner
// when it has the key, for all others at once. From then on the key decides. It
// ends as well when the holder of a lease is heard: a node that does not reach the
// store is not to take the VIP when that one falls silent.
func (m *Machine) bootstrap(now time.Time) {
	if !m.outranked && (!m.seen || !m.session.valid(now)) {
		return
	}
	if !m.wire.Owns() && !m.asked {
		m.boundAt = time.Time{}
	}
	up := m.wire.State() != vrrp.Init
	switch {
	case !up:
		m.state = vrrp.Init
	case !m.wire.Owns():
		m.state = vrrp.Backup
		if m.wire.State() == vrrp.Displacing || m.wire.State() == vrrp.Probing {
			m.actions = append(m.actions, m.wire.Step(now, vrrp.Abandon{Reason: election.Startup, Detail: "elected by etcd from now on"})...)
		}
	case m.mine() && !m.owns(now):
		return // a renewal is to say so
	case m.mine():
		m.state = vrrp.Active
		m.activeSince, m.advertAt, m.term = now, now, m.owner.Term
	case m.outranked, m.owner.Lease != 0 && m.owner.Node != m.cfg.Node:
		m.state = vrrp.Active
	default:
		return // the owner by VRRP takes the key
	}
	heard, _ := m.wire.Owner(now)
	if heard.Addr.IsValid() && heard.Addr != m.holder {
		m.stranger = heard
	}
	if !m.holder.IsValid() || heard.Addr == m.holder {
		m.other = heard
	}
	m.bootstraps = false
	m.listen(now)
	if m.state == vrrp.Active && !m.mine() {
		m.lose(now, election.LeaseLost, "this node was owner by VRRP, and another one has the lease, or will")
	}
}

// bind tells whether the owner by VRRP may ask for the key. Once it has, the others
// count from that on, should it never hear the answer. So its kernel is to be bound
// by what this node counts on before.
func (m *Machine) bind(now time.Time) bool {
	if m.boundAt.IsZero() {
		m.boundAt = now
	}
	bound := m.boundAt.Add(m.cfg.Fence + offSlack)
	if now.Before(bound) {
		m.wakeAt(bound)
		return false
	}
	m.asked = true
	return true
}

// expireBound ends an ownership by VRRP whose lease may be another's.
func (m *Machine) expireBound(now time.Time) {
	switch {
	case m.boundAt.IsZero() || m.cfg.Keep || now.Before(m.until()):
	case m.asked:
		m.outranked = true
	default:
		m.boundAt = time.Time{} // it has asked for nothing
	}
}

// Bootstraps tells whether VRRP elects, because the store was never reached.
func (m *Machine) Bootstraps() bool { return m.bootstraps }
