package doctor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/bgp"
	"github.com/vipd/vipd/config"
)

// judgeRouting looks at BGP: who else speaks it here, and the daemon's sessions.
func judgeRouting(f *Facts, v *verdict) {
	groups := v.groups(f)
	announces := func(how config.Announce) bool {
		return slices.ContainsFunc(groups, func(g Group) bool { return g.Announce == how })
	}
	speakers, known := seen(v, f.Speakers)
	names := make([]string, len(speakers))
	for i, p := range speakers {
		names[i] = nameOf(p)
	}
	others := strings.Join(names, ", ")
	switch {
	case announces(config.AnnounceBGP) && len(speakers) > 0:
		v.found(BGPSpeakerBeside, Warning, "BGP", others+" speaks BGP on this host too, and a router takes one session from a host",
			"let that one announce the VIP (vips[].announce: local), or peer with other routers; docs/bgp.md has both")
	case announces(config.AnnounceLocal) && known && len(speakers) == 0:
		v.found(RoutingMissing, Warning, "BGP", "announce: local leaves the VIP to another daemon of this host, and none was seen to run", "start it (FRR, BIRD, Calico), or write announce: bgp")
	case !announces(config.AnnounceBGP) && !announces(config.AnnounceLocal) && f.Config != nil:
		v.skipped = nil
		v.needless("no VIP is announced by BGP")
	}
	if !f.runs() {
		return
	}
	if b := f.Status.Value.BGP; b.Restarts > chance {
		v.found(SpeakerDies, Warning, "BGP", fmt.Sprintf("%d times the BGP speaker died since the daemon started, and all sessions with it", b.Restarts),
			"journalctl -u vipd has its last words, and the router whose messages it died of; report it with them")
	}
	for _, n := range f.Status.Value.BGP.Neighbors {
		judgeNeighbor(v, n)
	}
}

// chance is how many deaths of the speaker in a daemon's life are nobody's concern:
// somebody may have ended it.
const chance = 1

// judgeNeighbor looks at one session.
func judgeNeighbor(v *verdict, n agent.NeighborStatus) {
	if n.State != bgp.Established {
		text := n.Error
		if text == "" {
			text = "no error is known"
		}
		v.found(BGPSessionDown, Warning, n.Address.String(), fmt.Sprintf("the session is %s: %s", n.State, text), "look at the router: address, AS number, password, TTL security, which peers it accepts")
		return
	}
	if n.Error != "" {
		v.found(BGPSessionFault, Warning, n.Address.String(), "the session is established, but not all is well: "+n.Error, "mend what it names, here or at the router")
	}
	if n.BFD != "" && n.BFD != bgp.BFDUp {
		v.found(BFDSessionDown, Warning, n.Address.String(), fmt.Sprintf("the session is established, and BFD is %s: a lost way is found by the hold time only", n.BFD),
			"look at the router: BFD for this node, single hop or multihop as here; at a firewall: UDP ports 3784 and 4784; and at other BFD daemons of this host; docs/bgp.md")
	}
}
