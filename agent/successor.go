package agent

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/vipd/vipd/election"
	"github.com/vipd/vipd/peer"
)

// maxAdvertisers bounds how many other owners of a group are remembered.
const maxAdvertisers = 16

// noteAdvertiser remembers who advertises the group: one of whom no hello comes
// is no vipd, and may be ready to take over without a word.
func (g *group) noteAdvertiser(now time.Time, from netip.Addr) {
	h := &g.hello
	if _, known := h.advertisers[from]; !known && len(h.advertisers) >= maxAdvertisers {
		h.crowded = true
		return
	}
	if h.advertisers == nil {
		h.advertisers = map[netip.Addr]time.Time{}
	}
	h.advertisers[from] = now
}

// namesSuccessor is whom an owner that leaves wants to take over; the zero ID:
// it stays, or there is nobody.
func (g *group) namesSuccessor() peer.ID {
	if !g.machine.Owns() || g.machine.Band() > election.Draining {
		return peer.ID{}
	}
	if n, _ := g.successor(); n != nil {
		return n.ID
	}
	return peer.ID{}
}

// successor is the best of the peers that are able and hear this node: the
// highest priority, then the highest address, as in the election.
func (g *group) successor() (best *peer.Node, part *peer.Member) {
	for n := range g.agent.cluster.table.All() {
		m := g.member(n)
		if m == nil || !n.Hears || !able(m) {
			continue
		}
		if part == nil || m.Priority > part.Priority || m.Priority == part.Priority && part.Source.Less(m.Source) {
			best, part = n, m
		}
	}
	return best, part
}

// able: it may take the group over, and would serve well.
func able(m *peer.Member) bool {
	return (m.Role == peer.Backup || m.Role == peer.Shadow || m.Role == peer.Claiming) && m.Band == peer.Healthy && !m.Drained
}

// unable: it says that it will not take the group over from a node that lives.
// What a newer version says in words that this one does not know is not taken
// for that.
func unable(m *peer.Member) (why string, certain bool) {
	switch {
	case m.Drained || m.Role == peer.Withdrawn:
		return "drained", true
	case m.Role == peer.Faulty:
		return "at fault", true
	case m.Role != peer.Backup && m.Role != peer.Shadow:
		return "", false
	case m.Band == peer.Unhealthy, m.Band == peer.Draining, m.Band == peer.Resigned:
		return m.Band.String(), true
	}
	return "", false
}

// nobodyCan tells, with the reason of each, that all other members of the group
// are known and none of them can take it over. It says so only if nothing else
// can be: a member that is not heard of may be able.
func (g *group) nobodyCan(now time.Time) (why string, certain bool) {
	if g.byLease() {
		return g.nobodyStands(now, election.Healthy)
	}
	if !g.knowsAll(now) {
		return "", false
	}
	var all []string
	for n := range g.agent.cluster.table.All() {
		m := n.Member(g.cfg.Addresses)
		if m == nil {
			continue
		}
		why, certain := "stopped", n.Condition == peer.Left
		if n.Condition == peer.Alive && n.Hears && now.Sub(n.Since) >= peer.Lifetime && g.member(n) != nil {
			why, certain = unable(m)
		}
		if !certain {
			return "", false
		}
		all = append(all, fmt.Sprintf("%s is %s", n.Name, why))
	}
	slices.Sort(all)
	return strings.Join(all, ", "), len(all) > 0
}

// knowsAll: hellos have worked for long enough to be heard by whoever sends
// them, and nobody is known who does not.
func (g *group) knowsAll(now time.Time) bool {
	p := g.port()
	if p == nil || now.Sub(p.openedAt) < peer.Lifetime || g.hello.crowded {
		return false
	}
	for from, at := range g.hello.advertisers {
		if !g.greetedFrom(from, at) {
			return false
		}
	}
	for _, listed := range slices.Concat(g.peers(), g.greeted()) {
		if !g.greetedFrom(listed, time.Time{}) {
			return false
		}
	}
	return true
}

// greetedFrom tells whether a hello of the group came from the address, not long
// before the given time or after it.
func (g *group) greetedFrom(addr netip.Addr, at time.Time) bool {
	for n := range g.agent.cluster.table.All() {
		m := n.Member(g.cfg.Addresses)
		if m != nil && m.Source == addr && at.Sub(m.Heard) < peer.Lifetime {
			return true
		}
	}
	return false
}
