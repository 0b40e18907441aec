package bgp

import (
	"net/netip"
	"slices"
	"time"
)

// Wanted is everything that a speaker is to do. The zero value: nothing.
type Wanted struct {
	// ASN is the node's autonomous system.
	ASN uint32 `json:"asn"`
	// RouterID is an IPv4 address (RFC 4271 4.2), unique among the routers'
	// neighbours.
	RouterID  netip.Addr `json:"router_id"`
	Neighbors []Neighbor `json:"neighbors"`
	// Routes are announced to each neighbour.
	Routes []Route `json:"routes"`
	// Generation changes when files are to be read anew.
	Generation uint64 `json:"generation"`
}

// Neighbor is a router that routes are announced to. It is never told anything
// else, and nothing it says is believed. Routes of both families are offered,
// whatever there is to announce: a session is not renegotiated.
type Neighbor struct {
	Address netip.Addr `json:"address"`
	ASN     uint32     `json:"asn"`
	// Port is the router's TCP port.
	Port uint16 `json:"port"`
	// Source is the source address; invalid: as the kernel chooses.
	Source netip.Addr `json:"source"`
	// PasswordFile holds the password for TCP MD5 (RFC 2385); empty: there is
	// none. Password is its content, filled in on the way to the speaker.
	PasswordFile string `json:"-"`
	Password     string `json:"password,omitempty"`
	// Unusable is why the session must not be tried; empty: it may.
	Unusable string `json:"unusable,omitempty"`
	// Multihop is the number of hops to the router, the last one counted; 0: it
	// is on the link.
	Multihop uint8 `json:"multihop"`
	// TTLSecurity accepts only packets that were sent with TTL 255 (RFC 5082).
	TTLSecurity bool          `json:"ttl_security"`
	HoldTime    time.Duration `json:"hold_time"`
	// GracefulRestart is how long the router keeps the routes of a speaker that
	// is gone (RFC 4724); 0: not at all.
	GracefulRestart time.Duration `json:"graceful_restart"`
	// Restarted: a former speaker died, and the router may go on using its routes.
	// The node went on serving, which it says by the F bit (RFC 4724 3); without
	// it the router would forget the routes as soon as the session is back.
	// Filled in on the way to the speaker.
	Restarted bool `json:"restarted,omitempty"`
	BFD       BFD  `json:"bfd"`
}

// Session is the neighbour without what concerns BFD only, which a session
// outlives.
func (n Neighbor) Session() Neighbor {
	n.BFD = BFD{}
	return n
}

// Internal tells whether the session is of one autonomous system.
func (n Neighbor) Internal(asn uint32) bool { return n.ASN == asn }

// BFD is how the way to a neighbour is watched.
type BFD struct {
	Enabled bool `json:"enabled"`
	// Transmit and Receive are the least intervals at which this node is ready
	// to send and to receive (RFC 5880 6.8.1).
	Transmit   time.Duration `json:"transmit"`
	Receive    time.Duration `json:"receive"`
	Multiplier uint8         `json:"multiplier"`
}

// Route is a route to this node.
type Route struct {
	Prefix netip.Prefix `json:"prefix"`
	// MED is told to all neighbours (RFC 4271 5.1.4).
	MED uint32 `json:"med"`
	// Prepend is how often this node's AS number stands in the path in excess
	// (external neighbours).
	Prepend int `json:"prepend"`
	// LocalPreference is for internal neighbours (RFC 4271 5.1.5).
	LocalPreference  uint32           `json:"local_preference"`
	Communities      []Community      `json:"communities"`
	LargeCommunities []LargeCommunity `json:"large_communities"`
}

// Equal tells whether two routes are announced alike.
func (r Route) Equal(o Route) bool {
	return r.Prefix == o.Prefix && r.MED == o.MED && r.Prepend == o.Prepend &&
		r.LocalPreference == o.LocalPreference &&
		slices.Equal(r.Communities, o.Communities) && slices.Equal(r.LargeCommunities, o.LargeCommunities)
}
