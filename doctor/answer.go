package doctor

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/vipd/vipd/agent"
)

// Answer is what the segment said when it was asked for a VIP.
type Answer struct {
	// MAC is the station that says it has it; empty: none does.
	MAC string
	// Proxy: it answers for any address.
	Proxy bool
}

// judgeAnswers looks for stations that answer for a VIP and are no node of its
// group.
func judgeAnswers(f *Facts, v *verdict) {
	groups := v.groups(f)
	asked := false
	for i := range groups {
		g := &groups[i]
		if g.Announce.Routed() {
			continue
		}
		asked = true
		for _, vip := range g.Addresses {
			if answer, ok := seen(v, g.Answers[vip]); ok {
				judgeAnswer(f, v, g, vip, answer)
			}
		}
	}
	if !asked && f.Config != nil {
		v.needless("no VIP is announced on its segment")
	}
}

func judgeAnswer(f *Facts, v *verdict, g *Group, vip netip.Addr, a Answer) {
	status := f.status(g.Name)
	owns := status != nil && status.State == agent.StateOwner
	switch {
	case a.MAC == "":
	case a.Proxy:
		v.found(VIPProxied, Warning, vip.String(), fmt.Sprintf("%s on %s answers for any address (proxy ARP or ND), so clients may send to it instead of the owner", a.MAC, g.Link),
			"switch proxy_arp or proxy_ndp off on that router, for this subnet at least")
	case owns:
		v.found(VIPAnswered, Error, vip.String(), fmt.Sprintf("%s on %s answers for it, and this node owns it", a.MAC, g.Link),
			fmt.Sprintf("find the station %s and take %s off it; 'vipd status' on the other nodes tells whether it is one of them", a.MAC, vip))
	case !g.knows(a.MAC):
		v.found(VIPAnswered, Error, vip.String(), fmt.Sprintf("%s on %s answers for it, and no node of its group was heard to have that MAC", a.MAC, g.Link),
			fmt.Sprintf("find the station ('bridge fdb', the switch's MAC table) and take %s off it, or choose another VIP; if it is a node of this cluster, its adverts do not get here", vip))
	}
}

// knows tells whether a station is a node of the group, or its virtual MAC.
func (g *Group) knows(mac string) bool {
	s := g.Segment.Value
	return mac == g.virtualMAC() ||
		slices.ContainsFunc(s.Adverts, func(a Advert) bool { return a.MAC == mac && g.means(a) }) ||
		slices.ContainsFunc(s.Hellos, func(h Hello) bool { return h.MAC == mac && g.shares(h.VIPs) })
}

// virtualMAC is the one that RFC 9568 7.3 gives the group, which others may use.
func (g *Group) virtualMAC() string {
	kind := 1
	if g.isIPv6() {
		kind = 2
	}
	return fmt.Sprintf("00:00:5e:00:%02x:%02x", kind, g.VRRP.VRID)
}
