package speaker

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/vipd/vipd/bgp"
)

// MaxMemory is how much memory the process may have, in bytes: that of some 200,000
// routes of routers. None is used, but gobgp keeps all that it hears.
const MaxMemory = 256 << 20

const (
	// weighing is how often the memory is looked at.
	weighing = 250 * time.Millisecond
	// answering bounds the wait for sessions to say how much they hear.
	answering = 500 * time.Millisecond
	// innocent is how many routes make no neighbour guilty.
	innocent = 10_000
)

// weigh ends the process when routers send more than it may keep. A kernel that is
// out of memory would choose whom to end by itself, and could not tell whose doing
// it was.
func (s *Speaker) weigh() {
	has := s.edges.Memory()
	if has <= MaxMemory {
		return
	}
	why := fmt.Sprintf("the speaker has %d MB of memory, more than its %d", has/1e6, MaxMemory/1_000_000)
	most := s.heaviest()
	if most.neighbor.IsValid() {
		why = fmt.Sprintf("%v sent %s, and %s; have that router send no routes to this node (a filter for what goes out)", most.neighbor, most, why)
	}
	s.edges.Collapse(most.neighbor, why)
}

// load is how many routes a neighbour sent.
type load struct {
	neighbor netip.Addr
	routes   uint64
	// untold: its session is too busy to say how many.
	untold bool
}

func (l load) String() string {
	if l.untold {
		return "more routes than could be counted"
	}
	return fmt.Sprintf("%d routes", l.routes)
}

// heaviest is the greatest load, without a neighbour if none is great. A session
// that does not come to say what it heard hears the most.
func (s *Speaker) heaviest() load {
	loads := make(chan load, len(s.neighbors))
	for addr, n := range s.neighbors {
		go func() { loads <- load{neighbor: addr, routes: n.received()} }()
	}
	most := load{routes: innocent}
	limit := time.After(answering)
	told := map[netip.Addr]bool{}
	for range s.neighbors {
		select {
		case l := <-loads:
			told[l.neighbor] = true
			if l.routes > most.routes {
				most = l
			}
		case <-limit:
			i := slices.IndexFunc(s.wanted.Neighbors, func(n bgp.Neighbor) bool { return !told[n.Address] })
			return load{neighbor: s.wanted.Neighbors[i].Address, untold: true}
		}
	}
	return most
}
