package speaker

import (
	"net/netip"
	"time"

	"github.com/vipd/vipd/bgp"
	"github.com/vipd/vipd/bgp/bfd"
)

// Edges are what a Speaker calls to touch the world.
type Edges struct {
	// Open starts the session with a neighbour. It goes on until it is closed;
	// changed is called when its State may have changed.
	Open func(asn uint32, routerID netip.Addr, n bgp.Neighbor, changed func()) (Session, error)
	// Watcher watches the ways to neighbours.
	Watcher Watcher
	// Memory is how much memory the process has, in bytes.
	Memory func() uint64
	// Collapse ends the process as a message of a neighbour does that it cannot
	// bear; without a neighbour it is nobody's doing. It does not return.
	Collapse func(neighbor netip.Addr, why string)
}

// Session is the BGP session with one neighbour.
type Session interface {
	// Announce brings what is announced to exactly the given routes. It is
	// idempotent.
	Announce(routes []bgp.Route) error
	// Announced is what the neighbour was told; nothing while the session is not
	// established.
	Announced() ([]bgp.Route, error)
	State() bgp.NeighborReport
	// Received is how many routes the neighbour sent and did not withdraw.
	Received() uint64
	// Reset ends the connection and begins anew.
	Reset(why string) error
	// Hasten has a session that is not established tried again now.
	Hasten() error
	// Close ends the session for good, within a few seconds.
	Close(why string) error
	// Remove is Close for a neighbour that is configured no more.
	Remove() error
}

// Watcher watches the ways to neighbours by BFD.
type Watcher interface {
	// Configure brings the watch to exactly these ways. It is idempotent.
	Configure(ways []Way)
	// Lateness is by how much a deadline was missed at the most since it was
	// asked for last.
	Lateness() time.Duration
	// Refused counts packets that were not taken.
	Refused() uint64
}

// Way is the way to a neighbour.
type Way struct {
	Neighbor netip.Addr
	// Source is the source address; invalid: as the kernel chooses.
	Source   netip.Addr
	Multihop bool
	Config   bfd.Config
}

// Sight is what a Watcher knows of a way.
type Sight struct {
	State, Remote bfd.State
	Diagnostic    bfd.Diagnostic
	// Err is why the way is not watched.
	Err error
}
