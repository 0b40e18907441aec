package peer

import "net/netip"

// Change is what a Table learned. The set is closed.
type Change interface{ change() }

// Joined tells that a peer is alive that was unknown, silent, or had left.
type Joined struct {
	ID ID
	// Restarted: the peer was known in an earlier life.
	Restarted bool
}

// Said tells that a peer's statement about a group, or its link, changed in more
// than what counts by itself, or that it is the first statement.
type Said struct {
	ID   ID
	VIPs []netip.Addr
}

// Unsaid tells that a living peer does not speak of a group any more.
type Unsaid struct {
	ID   ID
	VIPs []netip.Addr
}

// Parted tells that a peer said that its daemon stops.
type Parted struct{ ID ID }

// Silenced tells that a living peer was not heard for Lifetime.
type Silenced struct{ ID ID }

// Forgotten tells that a peer is not in the table any more.
type Forgotten struct {
	ID   ID
	Name string
}

// Waiting tells that somebody waits for an echo of this node: Beat.Ask.
type Waiting struct{}

// Doubled tells that another node has the name of this node or of a living peer;
// once for as long as that goes on.
type Doubled struct {
	ID   ID
	Name string
	// Source is where the refused hello came from.
	Source netip.Addr
}

func (Joined) change()    {}
func (Said) change()      {}
func (Unsaid) change()    {}
func (Parted) change()    {}
func (Silenced) change()  {}
func (Forgotten) change() {}
func (Waiting) change()   {}
func (Doubled) change()   {}
