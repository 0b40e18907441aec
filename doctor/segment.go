package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/vipd/vipd/agent"
)

// Segment is what was heard on a group's interface.
type Segment struct {
	// Listened is for how long.
	Listened time.Duration
	// Adverts are those of others, each sender and virtual router once.
	Adverts []Advert
	// Hellos are those of other nodes, as they came off the wire, before any
	// filter of this host; each sender once.
	Hellos []Hello
	// Delivered are the senders of hellos that came through this host's filters to
	// a socket; missing while the daemon has the port: it tells then.
	Delivered Fact[[]netip.Addr]
}

// Advert is a VRRP advert.
type Advert struct {
	From      netip.Addr
	MAC       string
	VRID      uint8
	Version   int
	Addresses []netip.Addr
}

// Hello is a vipd node's.
type Hello struct {
	From netip.Addr
	MAC  string
	Node string
	VIPs []netip.Addr
}

// means tells whether an advert is of the group: it has an address in common.
func (g *Group) means(a Advert) bool { return a.VRID == g.VRRP.VRID && g.shares(a.Addresses) }

func (g *Group) shares(addrs []netip.Addr) bool {
	return slices.ContainsFunc(addrs, func(a netip.Addr) bool { return slices.Contains(g.Addresses, a) })
}

// elections are the groups with an election by VRRP and what was heard of them.
func elections(f *Facts, v *verdict, judge func(*Group, Segment)) {
	groups := v.groups(f)
	elected := false
	for i := range groups {
		g := &groups[i]
		if !g.elects() {
			continue
		}
		elected = true
		if s, ok := seen(v, g.Segment); ok {
			judge(g, s)
		}
	}
	if !elected && f.Config != nil {
		v.needless("no VIP is elected by VRRP")
	}
}

// judgeAdverts looks who advertises on the segment.
func judgeAdverts(f *Facts, v *verdict) {
	elections(f, v, func(g *Group, s Segment) {
		for _, a := range s.Adverts {
			judgeAdvert(v, g, a)
		}
		judgeAbsence(f, v, g, s)
	})
}

func judgeAdvert(v *verdict, g *Group, a Advert) {
	shares, subject := g.shares(a.Addresses), fmt.Sprintf("VRID %d on %s", g.VRRP.VRID, g.Link)
	switch {
	case a.VRID == g.VRRP.VRID && !shares && a.From.Is6() == g.isIPv6():
		v.found(VRIDTaken, Error, subject, fmt.Sprintf("%s (%s) advertises %s under it, no address of %s", a.From, a.MAC, list(a.Addresses), g.Name),
			"write another number on all nodes: vips[].vrrp.vrid (1 to 255)")
	case shares && a.VRID != g.VRRP.VRID:
		v.found(VRIDDiffers, Error, subject, fmt.Sprintf("%s (%s) advertises %s under VRID %d: both would own it", a.From, a.MAC, list(a.Addresses), a.VRID),
			"write the same vips[].vrrp.vrid on all nodes")
	case shares && a.Version != g.VRRP.Version:
		v.found(VRRPVersion, Warning, a.From.String(), fmt.Sprintf("it advertises %s by VRRP version %d, this node by %d; vipd hears both, keepalived and routers only their own", g.Name, a.Version, g.VRRP.Version),
			fmt.Sprintf("vips[].vrrp.version: %d, until all nodes run vipd", a.Version))
	}
}

// judgeAbsence looks for peers of the configuration that were not heard, and for
// a segment without any.
func judgeAbsence(f *Facts, v *verdict, g *Group, s Segment) {
	heard := map[netip.Addr]bool{}
	for _, a := range s.Adverts {
		heard[a.From] = true
	}
	for _, h := range s.Hellos {
		heard[h.From] = true
	}
	known := len(heard) > 0
	if f.runs() {
		for _, p := range f.Status.Value.Peers {
			known = true
			for _, addr := range p.Addresses {
				heard[addr] = heard[addr] || p.Condition == "alive"
			}
		}
	}
	own := f.link(g.Link)
	for _, peer := range g.VRRP.Peers {
		if heard[peer] || own != nil && slices.ContainsFunc(own.Addresses, func(a Address) bool { return a.Prefix.Addr() == peer }) {
			continue
		}
		v.found(PeerUnheard, Warning, peer.String(), fmt.Sprintf("it is a peer of %s and was not heard for %s, by advert or hello", g.Name, s.Listened),
			"start vipd there, and let protocol 112 and hellos (UDP) through between the nodes; is this node in its vrrp.peers?")
	}
	if !known && len(g.VRRP.Peers) == 0 {
		v.found(NobodyHeard, Info, g.Link, fmt.Sprintf("no other node of %s was heard for %s", g.Name, s.Listened),
			"nothing, if this is the only node yet; else look whether switches filter multicast to 224.0.0.18 or ff02::12, or list the nodes in vips[].vrrp.peers")
	}
}

// judgeHellos looks whether nodes that are there get their word to this one.
func judgeHellos(f *Facts, v *verdict) {
	if f.Config != nil && !f.Config.Hello.Enabled {
		v.needless("hello.enabled is false")
		return
	}
	if f.runs() {
		h := f.Status.Value.Hello
		if h.Error != "" {
			v.found(HelloFault, Warning, "hello", h.Error, "do what the text says, then 'vipd reload'; VIPs move all the same, connections break")
		}
		judgeRefusals(v, h)
	}
	elections(f, v, func(g *Group, s Segment) {
		judgeSilentAdvertisers(f, v, g, s)
		judgeDelivery(f, v, s)
	})
}

// judgeRefusals looks for hellos of which the daemon believes nothing.
func judgeRefusals(v *verdict, h agent.HelloStatus) {
	var why []string
	for _, reason := range []string{"bad-tag", "unknown-key", "untagged"} {
		if n := h.Discarded[reason]; n > 0 {
			why = append(why, fmt.Sprintf("%d %s", n, reason))
		}
	}
	if len(why) > 0 {
		v.found(HelloRefused, Warning, "auth_key_file", "hellos were refused since the start: "+strings.Join(why, ", "),
			"put the same key on all nodes (auth_key_file) and write the same cluster; 'vipd reload' is not needed for the key")
	}
}

// judgeSilentAdvertisers looks for members that advertise and say no hello.
func judgeSilentAdvertisers(f *Facts, v *verdict, g *Group, s Segment) {
	for _, a := range s.Adverts {
		said := slices.ContainsFunc(s.Hellos, func(h Hello) bool { return h.From == a.From }) || f.isPeer(a.From)
		if g.means(a) && !said {
			v.found(HelloMissing, Warning, a.From.String(), fmt.Sprintf("it advertises %s and no hello of it came for %s: connections break when the VIP moves between it and this node", g.Name, s.Listened),
				fmt.Sprintf("let UDP port %d through between the nodes; nothing, if that is keepalived or a router", f.Config.Hello.Port))
		}
	}
}

// judgeDelivery looks for hellos that reach this host and no socket.
func judgeDelivery(f *Facts, v *verdict, s Segment) {
	delivered := s.Delivered
	for _, h := range s.Hellos {
		switch {
		case f.runs():
			if f.isPeer(h.From) || len(f.Status.Value.Hello.Discarded) > 0 {
				continue
			}
		case delivered.Missing != "":
			v.cannot(delivered.Missing)
			return
		case slices.Contains(delivered.Value, h.From):
			continue
		}
		v.found(HelloDropped, Warning, h.Node, fmt.Sprintf("its hellos from %s arrive at this host and no program gets them: a filter of this host drops them", h.From),
			fmt.Sprintf("nft add rule inet filter input udp dport %d accept, or what your firewall calls it (firewall-cmd --add-port=%[1]d/udp)", f.Config.Hello.Port))
	}
}

// isPeer tells whether the daemon hears hellos from an address.
func (f *Facts) isPeer(addr netip.Addr) bool {
	return f.runs() && slices.ContainsFunc(f.Status.Value.Peers, func(p agent.PeerStatus) bool {
		return slices.Contains(p.Addresses, addr) && p.Condition == "alive"
	})
}

func list(addrs []netip.Addr) string {
	all := make([]string, len(addrs))
	for i, a := range addrs {
		all[i] = a.String()
	}
	return strings.Join(all, ", ")
}
