package speaker

import (
	"fmt"
	"net/netip"
	"time"
)

// MaxMemory is how much memory the process may have, in bytes: that of some hundred
// thousand routes of routers. None is used, but gobgp keeps all that it hears.
const MaxMemory = 256 << 20

const (
	// weighing is how often the memory is looked at.
	weighing = 250 * time.Millisecond
	// answering bounds the wait for sessions to say how much they hear.
	answering = 500 * time.Millisecond
)

// weigh ends the process when routers send more than it may keep. A kernel that is
// out of memory would choose whom to end by itself, and could not tell whose doing
// it was.
func (s *Speaker) weigh() {
	has := s.edges.Memory()
	if has <= MaxMemory {
		return
	}
	most := s.heaviest()
	why := fmt.Sprintf("the speaker has %d MB of memory, more than its %d", has/1e6, MaxMemory/1_000_000)
	if most.routes > 0 {
		why = fmt.Sprintf("%v sent %d routes, and %s; have that router send none to this node (a filter for what goes out)", most.neighbor, most.routes, why)
	}
	s.edges.Collapse(most.neighbor, why)
}

// load is how many routes a neighbour sent.
type load struct {
	neighbor netip.Addr
	routes   uint64
}

// heaviest is the greatest load, of the neighbours whose sessions say it in time.
func (s *Speaker) heaviest() load {
	loads := make(chan load, len(s.neighbors))
	for addr, n := range s.neighbors {
		go func() { loads <- load{addr, n.received()} }()
	}
	var most load
	limit := time.After(answering)
	for range s.neighbors {
		select {
		case l := <-loads:
			if l.routes > most.routes {
				most = l
			}
		case <-limit:
			return most
		}
	}
	return most
}
