package vrrp

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// hear judges whose advert it is and hands it to the state (RFC 9568 7.1).
func (m *Machine) hear(now time.Time, from netip.Addr, p *Packet) {
	if from == m.own {
		if m.ownAddress.begins(now) {
			m.act(Report{Kind: OwnAddress, From: from, Detail: "another station advertises from this node's address"})
		}
		return
	}
	if !m.ours(now, from, p) {
		return
	}
	if m.state == Init {
		return
	}
	m.heard = true
	if m.cfg.FollowChecksum && p.Version == Version3 {
		m.advert.Checksum = p.Checksum
	}
	switch m.state {
	case Active:
		m.noticeLateness(now)
		m.hearAsOwner(now, from, p)
	case Listening:
		m.hearAsOwner(now, from, p)
	case Backup, Probing, Displacing:
		m.hearAsBackup(now, from, p)
	case Init:
	}
}

// ours tells our group from a foreign one under the same VRID: any address in
// common makes it ours. RFC 9568 7.1 leaves the check of the list to us; a list
// that differs is normal while a change is rolled out.
func (m *Machine) ours(now time.Time, from netip.Addr, p *Packet) bool {
	if slices.Equal(p.Addresses, m.cfg.Addresses) {
		return true
	}
	isOurs := func(a netip.Addr) bool { return slices.Contains(m.cfg.Addresses, a) }
	if !slices.ContainsFunc(p.Addresses, isOurs) {
		if m.foreign.begins(now) {
			m.act(Report{Kind: Foreign, From: from, Detail: fmt.Sprintf("VRID %d is used for %v too; give one of the groups another vrid", p.VRID, p.Addresses)})
		}
		return false
	}
	if within(p.Addresses, m.cfg.Addresses) && within(m.cfg.Addresses, p.Addresses) {
		return true // another order
	}
	if m.differs.begins(now) {
		m.act(Report{Kind: Differs, From: from, Detail: fmt.Sprintf("it lists %v, this node %v", p.Addresses, m.cfg.Addresses)})
	}
	return true
}

// within tells whether each of some addresses is among all.
func within(some, all []netip.Addr) bool {
	for _, a := range some {
		if !slices.Contains(all, a) {
			return false
		}
	}
	return true
}

// episodeOf remembers a fault that is seen again and again, so that it is told
// once.
type episodeOf struct{ last time.Time }

// begins notes a sighting and tells whether it starts an episode.
func (e *episodeOf) begins(now time.Time) bool {
	first := e.last.IsZero() || now.Sub(e.last) >= episode
	e.last = now
	return first
}
