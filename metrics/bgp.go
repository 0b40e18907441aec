package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/bgp"
)

// bgpFamilies are those of announcements to routers. They are absent where no
// router is configured.
type bgpFamilies struct {
	sessionUp, sessionFlaps *family
	announced               *family
	bfdUp, bfdLateness      *family
	bfdRefused              *family
	speakerRestarts         *family
}

func (c *Collector) declareBGP() {
	fs, b := &c.families, &c.bgp
	b.sessionUp = fs.declare(gauge, "vipd_bgp_session_up", "1 while the BGP session with the router is established, else 0.", "neighbor")
	b.sessionFlaps = fs.declare(counter, "vipd_bgp_session_flaps_total", "How often the BGP session with the router was lost since its speaker started.", "neighbor")
	b.announced = fs.declare(gauge, "vipd_bgp_announced", "Routers that are told the route to the VIP.", "prefix")
	b.bfdUp = fs.declare(gauge, "vipd_bfd_session_up", "1 while the BFD session with the router is up, else 0.", "neighbor")
	b.bfdLateness = fs.declare(gauge, "vipd_bfd_lateness_seconds", "By how much a BFD deadline was missed at the most in the last 30 to 60 seconds: near the detection time it means false alarms.")
	b.bfdRefused = fs.declare(counter, "vipd_bfd_packets_refused_total", "BFD packets that were not taken since the speaker started: malformed, of no session, or over a router where the neighbour is on the link.")
	b.speakerRestarts = fs.declare(counter, "vipd_speaker_restarts_total", "BGP speakers that died and were started again.")
}

func (c *Collector) collectBGP(ch chan<- prometheus.Metric, s agent.BGPStatus, vips []agent.VIPStatus) {
	b := &c.bgp
	if len(s.Neighbors) == 0 {
		return
	}
	b.speakerRestarts.send(ch, float64(s.Restarts))
	told := map[string]int{}
	for _, v := range vips {
		if v.Announce != "bgp" {
			continue
		}
		for _, addr := range v.Addresses {
			prefix, _ := addr.Prefix(addr.BitLen()) // the length is the address's own
			told[prefix.String()] = 0
		}
	}
	watched := false
	for _, n := range s.Neighbors {
		neighbor := n.Address.String()
		b.sessionUp.sendTruth(ch, n.State == bgp.Established, neighbor)
		b.sessionFlaps.send(ch, float64(n.Flaps), neighbor)
		if n.BFD != "" {
			watched = true
			b.bfdUp.sendTruth(ch, n.BFD == bgp.BFDUp, neighbor)
		}
		for _, p := range n.Announced {
			told[p.String()]++
		}
	}
	for prefix, routers := range told {
		b.announced.send(ch, float64(routers), prefix)
	}
	if watched {
		b.bfdLateness.send(ch, s.BFDLatenessSeconds)
		b.bfdRefused.send(ch, float64(s.BFDRefused))
	}
}
