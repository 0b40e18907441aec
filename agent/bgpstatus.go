package agent

import (
	"net/netip"
	"time"

	"github.com/vipd/vipd/bgp"
)

// BGPStatus is what this node does by BGP.
type BGPStatus struct {
	// Speaker is running, starting, or off where none is needed.
	Speaker string `json:"speaker"`
	// Restarts counts the speakers that died.
	Restarts uint64 `json:"restarts"`
	// Error is why the last speaker died; empty while one runs.
	Error     string           `json:"error"`
	Neighbors []NeighborStatus `json:"neighbors"`
	// BFDLatenessSeconds is by how much a BFD deadline was missed at the most in
	// the last minute or so.
	BFDLatenessSeconds float64 `json:"bfd_lateness_seconds"`
	// BFDRefused counts BFD packets that were not taken, since the speaker started.
	BFDRefused uint64 `json:"bfd_packets_refused"`
}

// NeighborStatus is the session with one router.
type NeighborStatus struct {
	Address netip.Addr       `json:"address"`
	ASN     uint32           `json:"asn"`
	State   bgp.SessionState `json:"state"`
	Since   time.Time        `json:"since"`
	// Announced are the prefixes that the router was told.
	Announced []netip.Prefix `json:"announced"`
	// BFD is empty where the way is not watched.
	BFD bgp.BFDState `json:"bfd,omitempty"`
	// Flaps counts how often the session was lost.
	Flaps uint64 `json:"flaps"`
	// Error is what keeps the session from working, where that is known.
	Error string `json:"error"`
}

func (a *Agent) bgpStatus() BGPStatus {
	b := &a.announcing
	s := BGPStatus{
		Speaker: "off", Restarts: b.state.Restarts, Error: b.state.Error,
		Neighbors: []NeighborStatus{}, BFDLatenessSeconds: b.lateness.greatest().Seconds(),
		BFDRefused: b.state.Report.Refused,
	}
	switch {
	case b.state.Running:
		s.Speaker = "running"
	case len(b.said.Neighbors) > 0:
		s.Speaker = "starting"
	}
	for _, w := range b.said.Neighbors {
		s.Neighbors = append(s.Neighbors, a.neighborStatus(w))
	}
	return s
}

// neighborStatus is what is known of a neighbour; while no speaker runs, that is
// not much.
func (a *Agent) neighborStatus(w bgp.Neighbor) NeighborStatus {
	n, _ := reportOn(w.Address, a.announcing.state.Report)
	s := NeighborStatus{
		Address: w.Address, ASN: w.ASN, State: n.State, Since: a.announcing.since[w.Address],
		Announced: []netip.Prefix{}, BFD: n.BFD, Flaps: n.Flaps, Error: n.Error,
	}
	for _, r := range n.Announced {
		s.Announced = append(s.Announced, r.Prefix)
	}
	return s
}

// latenessSpan is how long a lateness counts.
const latenessSpan = 30 * time.Second

// lateness is the greatest of a span of time: that of the present span and of
// the one before.
type lateness struct {
	now, before time.Duration
	since       time.Time
}

func (l *lateness) note(at time.Time, d time.Duration) {
	if at.Sub(l.since) >= latenessSpan {
		l.before, l.now, l.since = l.now, 0, at
	}
	l.now = max(l.now, d)
}

func (l *lateness) greatest() time.Duration { return max(l.now, l.before) }
