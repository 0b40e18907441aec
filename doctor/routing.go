package doctor

import (
	"fmt"
	"slices"
	"strings"

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
	for _, n := range f.Status.Value.BGP.Neighbors {
		if n.State != bgp.Established {
			text := n.Error
			if text == "" {
				text = "no error is known"
			}
			v.found(BGPSessionDown, Warning, n.Address.String(), fmt.Sprintf("the session is %s: %s", n.State, text), "look at the router: address, AS number, password, TTL security, which peers it accepts")
		}
	}
}
