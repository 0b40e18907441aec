package peer

import (
	"net/netip"
	"slices"
	"time"
)

// Node is what is known of a peer. A Node that a Table handed out is the
// Table's: it is for reading, and valid until the Table is called again.
type Node struct {
	ID           ID
	Name         string
	Boot         Boot
	Version      string
	Minor        uint8
	Capabilities Capabilities
	Digests      []Digest

	Condition Condition
	// Since is when the Condition began.
	Since time.Time
	// Heard is when its last accepted hello arrived. What depends on the peer's
	// life should end Lifetime after it.
	Heard time.Time
	// Hears: an echo of this node's nonces arrived within Lifetime. A peer that
	// is Alive and does not hear is deaf. With a key a deaf peer's hellos prove
	// nothing, so it goes Silent, and Overheard moves on.
	Hears bool
	// Overheard is when its last authentic hello arrived, accepted or stale.
	Overheard time.Time
	// Echoes is how many nodes that hello said to hear.
	Echoes int
	// Authenticated: its hellos are, by a key of this node.
	Authenticated bool
	// Tagged: its hellos carry a tag, whether this node can check it or not.
	Tagged bool
	// Listed: one of its hellos came from an address that the Segment lists.
	Listed bool
	// Namesake: another living node has the same name; its hellos are refused.
	Namesake bool
	// Members are its VIP groups.
	Members []Member
}

// Member is a node's part in one VIP group, as it said last.
type Member struct {
	Statement
	// Link is the node's end of the link of the group.
	Link Link
	// Interface is this node's end of it.
	Interface string
	// Source is where the statement came from.
	Source netip.Addr
	// Heard is when.
	Heard time.Time

	sequence uint64
}

// Condition is whether a peer is there.
type Condition uint8

// The conditions.
const (
	// Silent: no accepted hello for Lifetime.
	Silent Condition = iota
	// Left: it said that its daemon stops.
	Left
	// Alive: heard within Lifetime.
	Alive
)

// String is the condition's word in status, logs and metric labels.
func (c Condition) String() string { return word(c, "silent", "left", "alive") }

// Member returns the node's part in the group that has one of vips, nil if it
// has none.
func (n *Node) Member(vips []netip.Addr) *Member {
	if i := n.index(vips); i >= 0 {
		return &n.Members[i]
	}
	return nil
}

func (n *Node) index(vips []netip.Addr) int {
	return slices.IndexFunc(n.Members, func(m Member) bool { return m.Shares(vips) })
}

// shares reports whether the node was heard to have a group with one of vips.
func (n *Node) shares(vips []netip.Addr) bool { return n.index(vips) >= 0 }
