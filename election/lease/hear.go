package lease

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/vipd/vipd/election"
	"github.com/vipd/vipd/election/vrrp"
)

// Adverts do not make or unmake an owner here. They say that an owner is alive,
// to whom packets may be passed on, and that somebody else serves: a node that
// does not reach the store, and bootstraps.

// hearken lets the machine of adverts tell what is odd about them.
func (m *Machine) hearken(now time.Time, ev vrrp.Event) {
	switch ev.(type) {
	case vrrp.Advert, vrrp.LinkUp, vrrp.LinkDown, vrrp.Configure:
	default:
		return
	}
	for _, a := range m.wire.Step(now, ev) {
		if r, ok := a.(vrrp.Report); ok {
			m.act(r)
		}
	}
}

// listen makes a machine that only listens of the one that elected.
func (m *Machine) listen(now time.Time) {
	up := m.wire.State() != vrrp.Init
	m.wire = vrrp.New(m.cfg.VRRP, false)
	m.wire.Step(now, vrrp.SetDuty{Duty: vrrp.Drain})
	if up {
		m.wire.Step(now, vrrp.LinkUp{Own: m.own})
	}
}

// concerns tells whether another node advertises this group's VIP.
func (m *Machine) concerns(ev vrrp.Advert) bool {
	ours := func(a netip.Addr) bool { return slices.Contains(m.cfg.VRRP.Addresses, a) }
	return ev.From != m.own && slices.ContainsFunc(ev.Packet.Addresses, ours)
}

// hear notes who advertises.
func (m *Machine) hear(now time.Time, ev vrrp.Advert) {
	p := ev.Packet
	if m.state == vrrp.Init || !m.concerns(ev) {
		return
	}
	if m.cfg.VRRP.FollowChecksum && p.Version == vrrp.Version3 {
		m.advert.Checksum = p.Checksum
	}
	s := vrrp.Sighting{Addr: ev.From, Priority: p.Priority, Rhythm: vrrp.Rhythm{Version: p.Version, Interval: p.Interval}, Heard: now}
	if ev.From == m.other.Addr {
		m.other = s
	}
	if ev.From != m.holder || s.Priority != Priority { // by VRRP, it does not know of its lease
		m.stranger = s
	}
	if m.state == vrrp.Active {
		m.meet(now, s)
	}
}

// meet notes another owner beside this one. It bootstraps, and makes way when it
// hears this node; or its last advert was still on its way.
func (m *Machine) meet(now time.Time, s vrrp.Sighting) {
	if now.Sub(m.activeSince) < lastWords && s.Addr == m.holder {
		return
	}
	if m.rival.Addr != s.Addr {
		m.defence = vrrp.Defend{Rival: s.Addr}
	}
	m.rival = s
	if m.rivalTold.IsZero() || now.Sub(m.rivalTold) >= episode {
		m.act(vrrp.Report{Kind: vrrp.Rival, From: s.Addr, Detail: fmt.Sprintf("it advertises priority %d, this node has the lease: it does not reach etcd, or was elected before it did", s.Priority)})
	}
	m.rivalTold = now
	m.act(m.defence)
	m.advertAt = now
}

// advertise sends what is due. An owner goes on while its key is on its way: it
// serves, and a node that bootstraps is not to take over.
func (m *Machine) advertise(now time.Time) {
	if m.state != vrrp.Active && m.state != vrrp.Listening {
		return
	}
	if !now.Before(m.advertAt) {
		m.advert.Rhythm = m.cfg.VRRP.Rhythm
		m.act(&m.advert)
		next := m.advertAt.Add(m.cfg.VRRP.Interval)
		if !next.After(now) {
			next = now.Add(m.cfg.VRRP.Interval)
		}
		m.advertAt = next
	}
	m.wakeAt(m.advertAt)
}

// quiet is when no owner that the store knows nothing of has been heard for long
// enough to be gone. One that asks to be succeeded, or is of a lower band than this
// node, is not waited for.
func (m *Machine) quiet() time.Time {
	wait := quietIntervals * m.cfg.VRRP.ActiveDownInterval(0)
	s := m.stranger
	switch {
	case s.Heard.IsZero() && m.holder.IsValid():
		return time.Time{} // the store has told whose the VIP was
	case s.Heard.IsZero():
		return m.upSince.Add(wait)
	case s.Priority == vrrp.PriorityResigned, vrrp.BandOf(s.Priority) < m.Band() && m.Band() == election.Healthy:
		return time.Time{}
	}
	return s.Heard.Add(max(wait, m.cfg.Fence+offSlack)) // if it was killed, its kernel goes on for so long
}
