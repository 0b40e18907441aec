package agent

import (
	"context"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/election"
	"github.com/vipd/vipd/election/vrrp"
)

// departure is how long a member that left is still told that there is an owner.
// It is not heard any more, and may run on without knowing that it left: until its
// own etcd has told it, or does not answer any more, it must not take silence for
// an owner's death.
const departure = 5 * time.Second

// departed is a member that left, and when that is looked at again.
type departed struct {
	addr  netip.Addr
	until time.Time
	// heard: it owned the VIP, and is listened to until another node does. To stop
	// listening to an owner would make two.
	heard bool
}

// membership is what this node knows of the cluster's members. It belongs to the
// loop.
type membership struct {
	// where they are followed; end ends that. serial counts the times it began.
	followed bool
	where    config.Etcd
	end      func()
	serial   int

	members []ClusterMember
	source  memberSource
	// fault is why they cannot be learned now; empty: they can. unlearned is what was
	// told of it.
	fault     string
	unlearned complaint
	// stranger: this node is none of them.
	stranger bool
}

// memberSource is where the list of members comes from.
type memberSource uint8

const (
	// unknownMembers: there is no list.
	unknownMembers memberSource = iota
	// rememberedMembers: from before this start.
	rememberedMembers
	// toldMembers: etcd told.
	toldMembers
)

// followMembers follows etcd's members if the configuration wants them, in place
// of what is followed already.
func (a *Agent) followMembers() {
	m := &a.membership
	if m.end != nil {
		m.end()
	}
	m.serial++
	m.end, m.where, m.followed = nil, a.config.Etcd, a.config.FollowsMembers()
	if !m.followed || a.edges.Members == nil {
		m.members, m.source, m.fault, m.stranger = nil, unknownMembers, "", false
		return
	}
	serial, where := m.serial, m.where
	m.end = a.spawn(func(ctx context.Context) {
		err := a.edges.Members.Follow(ctx, where, func(seen Membership) {
			a.Post(ctx, membersSeen{serial: serial, seen: seen})
		})
		if err != nil && ctx.Err() == nil {
			a.log.Error("etcd's members are not followed any more; the peers stay as they are", "error", err)
			a.Post(ctx, membersSeen{serial: serial, seen: Membership{Err: err}})
		}
	})
}

// reviseMembers brings the following in line with a new configuration.
func (a *Agent) reviseMembers() {
	m := &a.membership
	same := slices.Equal(m.where.Endpoints, a.config.Etcd.Endpoints) && m.where.CAFile == a.config.Etcd.CAFile &&
		m.where.CertFile == a.config.Etcd.CertFile && m.where.KeyFile == a.config.Etcd.KeyFile
	if !same || m.followed != a.config.FollowsMembers() {
		a.followMembers()
	}
}

// membersSeen takes over what was learned of the members.
func (a *Agent) membersSeen(now time.Time, ev membersSeen) {
	m, seen := &a.membership, ev.seen
	if ev.serial != m.serial {
		return
	}
	if seen.Err != nil {
		m.fault = seen.Err.Error()
	} else {
		m.members, m.source = seen.Members, toldMembers
		if seen.Remembered {
			m.source = rememberedMembers
		} else {
			m.fault = ""
		}
	}
	switch begins, ends := m.unlearned.hear(now, m.fault); {
	case begins:
		a.log.Warn("etcd does not tell who its members are; the peers stay as they are", "error", m.fault)
	case ends:
		a.log.Info("etcd tells who its members are again")
	}
	if seen.Forgetful != nil {
		a.log.Warn("etcd's members will not be known at the next start before etcd tells them", "error", seen.Forgetful)
	}
	a.recogniseSelf()
	for _, g := range a.groups {
		g.relink(now, election.NoInterface)
	}
}

// recogniseSelf tells when this node is none of the members.
func (a *Agent) recogniseSelf() {
	m := &a.membership
	if !a.known {
		return
	}
	stranger := m.source == toldMembers && m.fault == "" && !slices.ContainsFunc(m.members, a.isSelf)
	if stranger && !m.stranger {
		a.log.Warn("this node is none of etcd's members; if it left the cluster, stop vipd here; if etcd is on other hosts, write the nodes' addresses into the list of peers")
	}
	m.stranger = stranger
}

// isSelf tells whether a member is on this node.
func (a *Agent) isSelf(m ClusterMember) bool {
	vips := *a.watched.Load()
	return slices.ContainsFunc(m.Addresses(), func(addr netip.Addr) bool {
		if _, vip := vips[addr]; vip || addr.IsLoopback() {
			return false
		}
		for _, i := range a.interfaces {
			if i.has(addr) {
				return true
			}
		}
		return false
	})
}

// Addresses are those of the member's URLs, each once; names are none.
func (m ClusterMember) Addresses() []netip.Addr {
	var all []netip.Addr
	for _, text := range m.URLs {
		u, err := url.Parse(text)
		if err != nil {
			continue
		}
		addr, err := netip.ParseAddr(u.Hostname())
		if addr = addr.Unmap(); err == nil && !slices.Contains(all, addr) {
			all = append(all, addr)
		}
	}
	return all
}

// on are the member's addresses of a family in the subnets of an interface: from
// there its adverts come.
func (m ClusterMember) on(i Interface, ipv6 bool) []netip.Addr {
	return slices.DeleteFunc(m.Addresses(), func(addr netip.Addr) bool {
		return addr.Is6() != ipv6 || addr.IsLoopback() || addr.Zone() != "" || !slices.ContainsFunc(i.Addresses, func(own Address) bool {
			return !own.Prefix.IsSingleIP() && own.Prefix.Contains(addr)
		})
	})
}

// hasSubnet tells whether the interface has a subnet of a family that other nodes
// can be told apart in.
func (i Interface) hasSubnet(ipv6 bool) bool {
	return slices.ContainsFunc(i.Addresses, func(a Address) bool {
		return !a.Prefix.IsSingleIP() && a.Prefix.Addr().Is6() == ipv6 && !a.Prefix.Addr().IsLinkLocalUnicast()
	})
}

// usesMembers tells whether adverts or hellos of the group go to etcd's members.
func (g *group) usesMembers() bool {
	return g.cfg.VRRP.EtcdPeers || g.agent.config.Hello.EtcdPeers
}

// placeMembers finds the members on the group's interface, and brings the group in
// line with what changed.
func (g *group) placeMembers(now time.Time) {
	if g.everywhere() {
		return
	}
	placed, lost := g.locateMembers()
	g.tellUnplaced(lost)
	if !slices.Equal(placed, g.memberPeers) {
		g.replaceMembers(now, placed)
	}
	g.step(now, vrrp.Doubt{Peers: g.inDoubt()})
}

// inDoubt tells whether the owner may not know this node: etcd cannot be asked, or
// says that it is no member.
func (g *group) inDoubt() bool {
	m := &g.agent.membership
	return g.cfg.VRRP.EtcdPeers && (m.source != toldMembers || m.fault != "" || m.stranger)
}

// locateMembers returns where the other members are on the group's interface, and
// those that are not there.
func (g *group) locateMembers() (placed []netip.Addr, lost []ClusterMember) {
	if !g.usesMembers() {
		return nil, nil
	}
	name, _ := config.ResolveInterface(g.cfg, g.agent.host())
	i := g.agent.interfaces[name]
	if !i.hasSubnet(g.ipv6()) {
		return g.memberPeers, nil // of those that were there, while the interface has lost its addresses
	}
	vips := *g.agent.watched.Load()
	for _, m := range g.agent.membership.members {
		if g.agent.isSelf(m) {
			continue
		}
		there := slices.DeleteFunc(m.on(i, g.ipv6()), func(addr netip.Addr) bool { _, vip := vips[addr]; return vip })
		if len(there) == 0 {
			lost = append(lost, m)
		}
		placed = append(placed, there...)
	}
	return placed, lost
}

// tellUnplaced logs, once, members that are not where the group's adverts go.
func (g *group) tellUnplaced(lost []ClusterMember) {
	names := make([]string, 0, len(lost))
	for _, m := range lost {
		names = append(names, m.Name+" ("+strings.Join(m.URLs, ", ")+")")
	}
	text := strings.Join(names, "; ")
	if text != "" && text != g.unplaced {
		g.log.Warn("members of etcd have no address on the VIP's segment; write their addresses there into vrrp.peers, beside etcd", "members", text)
	}
	g.unplaced = text
}

// replaceMembers replaces the members that the group's adverts and hellos go to.
func (g *group) replaceMembers(now time.Time, placed []netip.Addr) {
	g.departed = slices.DeleteFunc(g.departed, func(d departed) bool { return slices.Contains(placed, d.addr) })
	for _, addr := range g.memberPeers {
		if !g.cfg.VRRP.EtcdPeers || slices.Contains(placed, addr) {
			continue
		}
		d := departed{addr: addr, until: now.Add(departure), heard: g.isOwner(now, addr)}
		if d.heard {
			g.log.Warn("the owner of the VIP is no member of etcd any more; it is heard until another node owns the VIP. If it should not, run vipd drain there", "owner", addr)
		}
		g.departed = append(g.departed, d)
	}
	g.memberPeers = placed
	g.log.Info("peers changed", "etcd", placed, "peers", g.peers())
	g.step(now, vrrp.Configure{Config: g.prepare()})
	if g.link != nil {
		g.link.setMulticast(family(g.ipv6()))
	}
}

// isOwner tells whether a node is the one that is heard as owner.
func (g *group) isOwner(now time.Time, addr netip.Addr) bool {
	owner, alive := g.machine.Owner(now)
	return alive && owner.Addr == addr
}

// departing is when members that left are looked at again; zero: never.
func (g *group) departing() time.Time {
	if len(g.departed) == 0 {
		return time.Time{}
	}
	return slices.MinFunc(g.departed, func(a, b departed) int { return a.until.Compare(b.until) }).until
}

// forgetDeparted tells members that left long ago nothing more. One that owned the
// VIP is told of its successor first.
func (g *group) forgetDeparted(now time.Time) {
	for i := range g.departed {
		if d := &g.departed[i]; d.heard && !now.Before(d.until) {
			d.heard, d.until = g.isOwner(now, d.addr), now.Add(departure)
		}
	}
	g.departed = slices.DeleteFunc(g.departed, func(d departed) bool { return !now.Before(d.until) })
	g.prepare()
}

// hears tells whether a node that left the members is heard all the same.
func (g *group) hears(addr netip.Addr) bool {
	return slices.ContainsFunc(g.departed, func(d departed) bool { return d.heard && d.addr == addr })
}

// listedPeers are whom the group's adverts go to, for the status.
func (g *group) listedPeers() ListedPeers {
	l := ListedPeers{From: []string{}, Addresses: []netip.Addr{}}
	if g.everywhere() {
		return l
	}
	v, m := g.cfg.VRRP, &g.agent.membership
	if len(v.Peers) > 0 {
		l.From = append(l.From, "configuration")
	}
	if v.PeersFile != "" {
		l.From = append(l.From, "file")
	}
	if v.EtcdPeers {
		switch {
		case len(g.memberPeers) == 0:
		case m.source == rememberedMembers:
			l.From = append(l.From, "remembered")
		default:
			l.From = append(l.From, "etcd")
		}
		switch {
		case m.fault != "":
			l.Problem = m.fault
		case m.stranger:
			l.Problem = "this node is none of etcd's members"
		case g.unplaced != "":
			l.Problem = "no address on this segment: " + g.unplaced
		}
	}
	l.Addresses = append(l.Addresses, g.peers()...)
	return l
}
