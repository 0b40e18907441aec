package agent

import (
	"net/netip"
	"slices"
	"time"

	"github.com/vipd/vipd/bgp"
	"github.com/vipd/vipd/config"
)

// arrival is how long neighbours that are new in the configuration are waited for,
// before those that they stand in for are left. A first connection takes a second or
// two.
const arrival = 10 * time.Second

// succession is the change from former neighbours to new ones: these are made
// before those are broken.
type succession struct {
	// former are neighbours that the configuration has no more.
	former []bgp.Neighbor
	// awaited are those that are new in it and were not established yet.
	awaited []netip.Addr
	// leaveAt is when the former ones are left at the latest, with the next beat;
	// zero: they are not kept for the new ones.
	leaveAt time.Time
}

// succeed begins a change from what was said to a new configuration. One that is
// under way is given no more time by another.
func (s *succession) succeed(now time.Time, said bgp.Wanted, next config.BGP) {
	s.former = slices.DeleteFunc(slices.Clone(said.Neighbors), func(n bgp.Neighbor) bool {
		return slices.ContainsFunc(next.Neighbors, func(c config.Neighbor) bool { return c.Address == n.Address })
	})
	var awaited []netip.Addr
	for _, c := range next.Neighbors {
		known := slices.ContainsFunc(said.Neighbors, func(n bgp.Neighbor) bool { return n.Address == c.Address })
		if !known || slices.Contains(s.awaited, c.Address) {
			awaited = append(awaited, c.Address)
		}
	}
	s.awaited = awaited
	switch {
	// Where this node's AS number is another one now, former neighbours would refuse it.
	case len(s.former) == 0, said.ASN != next.ASN:
		s.awaited, s.leaveAt = nil, time.Time{}
	case len(awaited) == 0 && s.waits():
		s.leaveAt = earliest(s.leaveAt, now.Add(next.Leaving.Wait))
	case len(awaited) > 0 && !s.waits():
		s.leaveAt = now.Add(arrival)
	}
}

// arrive notes which neighbours are there. When all are, routers have some time to
// use what they were told.
func (s *succession) arrive(now time.Time, r bgp.Report, wait time.Duration) {
	if len(s.awaited) == 0 {
		return
	}
	s.awaited = slices.DeleteFunc(s.awaited, func(addr netip.Addr) bool {
		n, _ := reportOn(addr, r)
		return isEstablished(n)
	})
	if len(s.awaited) == 0 {
		s.leaveAt = earliest(s.leaveAt, now.Add(wait))
	}
}

// waits tells whether former neighbours are kept for new ones.
func (s *succession) waits() bool { return !s.leaveAt.IsZero() }

// leaveFormer ends that when it is time to, and tells whether it did.
func (a *Agent) leaveFormer(now time.Time) bool {
	s := &a.announcing.succession
	if !due(s.leaveAt, now) {
		return false
	}
	if len(s.awaited) > 0 {
		a.log.Warn("routers that are new in the configuration have no session yet; those that it has no more are left all the same", "new", s.awaited)
	}
	s.awaited, s.leaveAt = nil, time.Time{}
	return true
}
