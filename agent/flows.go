package agent

import (
	"context"
	"net/netip"
	"time"
)

// Flows keeps open connections alive when a VIP moves, by rules for the kernel
// that expire by themselves.
type Flows interface {
	// Abilities tells what the kernel can do.
	Abilities() Abilities
	// Apply brings the rules to exactly these groups, in one transaction, and
	// renews their lifetimes.
	Apply(ctx context.Context, groups []FlowGroup) error
	// HoldShadow keeps addresses of an interface silently on lo for lifetime,
	// whole or not at all. What cannot be done by deadline is not done.
	HoldShadow(ctx context.Context, interfaceName string, addrs []netip.Addr, lifetime time.Duration, deadline time.Time) error
	// ReleaseShadow takes them off lo. It is idempotent.
	ReleaseShadow(ctx context.Context, interfaceName string, addrs []netip.Addr) error
	// FindShadows tells which of addrs are on lo, of whatever life.
	FindShadows(ctx context.Context, addrs []netip.Addr) ([]netip.Addr, error)
	// Connections counts what is open to addrs and port on this node.
	Connections(ctx context.Context, addrs []netip.Addr, port uint16) (Connections, error)
	// Reset ends the connections to addrs and port, or only those that are idle
	// just now, so that their clients are told. It must come before the addresses
	// go. n is how many it ended.
	Reset(ctx context.Context, addrs []netip.Addr, port uint16, onlyIdle bool) (n int, err error)
	// ResetClients ends the connections that clients on this host have to addrs
	// and port at another host, while the addresses are here.
	ResetClients(ctx context.Context, addrs []netip.Addr, port uint16) (n int, err error)
	// Passed reads the packets of each VIP that were passed on.
	Passed(ctx context.Context) (map[netip.Addr]Passed, error)
	// WatchRules calls fn whenever somebody else took the rules away, until ctx
	// ends.
	WatchRules(ctx context.Context, fn func()) error
	// AcceptRule is what a firewall that drops in its output needs to let packets
	// to a port be passed on.
	AcceptRule(port uint16) string
}

// Abilities are what the kernel can do for open connections.
type Abilities struct {
	// IPv4 and IPv6: connections of the family can be carried.
	IPv4, IPv6 bool
	// Resets: clients can be told that their connection ends.
	Resets bool
	// LocalClients: IPv4 clients on the new owner's host keep their connections.
	LocalClients bool
	// Missing says what is missing, for people; empty: nothing.
	Missing string
}

// FlowGroup is what the kernel is to do with the packets of a group's
// connections.
type FlowGroup struct {
	Name      string
	Interface string
	Addresses []netip.Addr
	Port      uint16
	// Shadow: this node was owner and carries what is open here; else it is the
	// owner.
	Shadow bool
	// Prev gets what this node does not know.
	Prev Hop
	// Owner is where a shadow sends what is the owner's.
	Owner Hop
	// Settling: other nodes change their part just now.
	Settling bool
	Lifetime time.Duration
}

// Hop is a node of the segment as next hop: by an address of each family, or by
// its MAC where none is known. The zero Hop is none.
type Hop struct {
	V4, V6 netip.Addr
	MAC    [6]byte
}

// Connections are open TCP connections on this node.
type Connections struct {
	// Own are of clients on this host, Remote of everybody else.
	Own, Remote int
}

// Passed counts packets of one VIP that were not for a connection of this node.
type Passed struct {
	// On is how many were passed on, Left how many of them really left.
	On, Left uint64
}
