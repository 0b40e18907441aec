package router

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/vipd/vipd/internal/lab"
)

// Router is a routing daemon that runs on a host.
type Router interface {
	// Routes are the next hops of the routes to a prefix that are in use.
	Routes(ctx context.Context, prefix netip.Prefix) ([]netip.Addr, error)
	// Established are the neighbours whose BGP session is established.
	Established(ctx context.Context) ([]netip.Addr, error)
	// BFD is the state of each BFD session, by neighbour, in FRR's words: "up".
	BFD(ctx context.Context) (map[netip.Addr]string, error)
	// Show is the router's answer to one of its own commands.
	Show(ctx context.Context, command string) (string, error)
	// Host is where it runs.
	Host() *lab.Host
	// Kill ends all its processes at once, as a loss of power does. Start makes a
	// new life.
	Kill() error
}

// Peering is what a router does with the nodes.
type Peering struct {
	// ASN is the router's.
	ASN uint32
	// Nodes are its neighbours.
	Nodes []Node
	// Hold is the hold time offered; zero: the daemon's default.
	Hold time.Duration
	// BFD, if not nil, watches each node.
	BFD *BFD
	// StrictBind has BIRD's BFD listen at the addresses of its sessions only.
	StrictBind bool
	// TTLSecurity refuses what came over a router.
	TTLSecurity bool
	// Password is for TCP MD5.
	Password string
	// Multihop: the nodes are not on the link.
	Multihop int
	// Port is where BIRD listens; zero: 179.
	Port uint16
	// OfLo announces the addresses that are on lo (BIRD): another daemon holds them.
	OfLo bool
	// Source is the router's address of the sessions; invalid: as the kernel
	// chooses.
	Source netip.Addr
	// Guests are further speakers on the nodes' segment.
	Guests []Node
	// Networks are announced to the nodes, by which a test sees that they do not
	// take them.
	Networks []netip.Prefix
	// Connects: this side connects, and not only the nodes.
	Connects bool
	// RealTime runs FRR with the real-time policy SCHED_RR, so that it is on time on
	// a busy machine.
	RealTime bool
	// GracefulRestart keeps routes of nodes whose sessions end without a word.
	GracefulRestart bool
}

// Node is a neighbour of a router.
type Node struct {
	Address netip.Addr
	ASN     uint32
}

// BFD is the router's side of BFD.
type BFD struct {
	Interval   time.Duration
	Multiplier int
}

// lines collects lines of a configuration.
type lines struct{ strings.Builder }

func (l *lines) add(format string, args ...any) { fmt.Fprintf(l, format+"\n", args...) }
