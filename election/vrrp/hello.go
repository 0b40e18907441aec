package vrrp

import (
	"net/netip"
	"slices"
	"time"
)

// This file is what a machine makes of what nodes tell each other besides
// adverts. It elects nobody: it shortens waits.

// named notes who wants this node as its successor. It may come before or after
// the advert that says why.
func (m *Machine) named(now time.Time, by netip.Addr) {
	if by == m.namedBy {
		return
	}
	m.namedBy = by
	if m.state == Backup && by.IsValid() {
		m.judgeOwner(now)
		m.arm(now)
	}
}

// leaveSkew is the tie skew of who leaves an owner that goes: none for the one
// that it named.
func (m *Machine) leaveSkew(step time.Duration) time.Duration {
	if m.namedBy.IsValid() && m.namedBy == m.owner.Addr {
		return 0
	}
	return m.tieSkew(step)
}

func (m *Machine) setMembers(now time.Time, addrs []netip.Addr) {
	if slices.Equal(addrs, m.members) {
		return
	}
	m.members = addrs
	if m.state == Backup {
		m.arm(now)
	}
}

// meet notes company.
func (m *Machine) meet(now time.Time) {
	if m.state == Init || !m.company.IsZero() {
		return
	}
	m.company = now
	m.endLoneliness()
}

// endLoneliness shortens it to the time in which an owner that is there would
// have been heard since company was: the ports of this node may have begun to
// forward just now.
func (m *Machine) endLoneliness() {
	if m.company.IsZero() || m.lonelyUntil.IsZero() {
		return
	}
	if end := m.company.Add(m.cfg.ActiveDownInterval(0)); end.Before(m.lonelyUntil) {
		m.lonelyUntil = end
	}
}
