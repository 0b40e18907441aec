package peer

import (
	"net/netip"
	"slices"
	"time"
)

// Port is the UDP port of hellos unless the configuration names another.
const Port = 9651

// HopLimit is the only IPv4 time to live and IPv6 hop limit of a valid hello: it
// proves that no router forwarded it, as in RFC 5082 (GTSM) and RFC 9568
// 5.1.1.3.
const HopLimit = 255

// Group returns the multicast group of hellos. It is VRRP's own, 224.0.0.18 or
// ff02::12 (RFC 9568 5.1.1.2, 5.1.2.2): hellos reach whom adverts reach, and
// switches that snoop IGMP always forward 224.0.0.0/24 (RFC 4541 2.1.2), so no
// querier is needed.
func Group(ipv6 bool) netip.Addr {
	if ipv6 {
		return netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 15: 0x12})
	}
	return netip.AddrFrom4([4]byte{224, 0, 0, 18})
}

// MaxSize is the length of the longest hello, in bytes. It passes every link
// that carries IPv6 (RFC 8200 section 5: 1280 with headers) in one piece.
const MaxSize = 1200

// Limits of one hello. They are chosen so that the greatest common part and the
// greatest group fit together into MaxSize; what is beyond them is not said.
const (
	maxName          = 63
	maxVersion       = 32
	maxReason        = 32
	maxLinkAddresses = 4
	maxVIPs          = 8
	maxHolders       = 8
	maxDigests       = 16
	maxEchoes        = maxPeers + maxStrangers
)

// Hello is what a node says of itself.
type Hello struct {
	// Minor is the sender's minor version of the wire form; Append ignores it.
	Minor uint8
	// Boot is the sender's life: random, drawn at each start of the daemon.
	Boot Boot
	// Sequence counts the datagrams of this life.
	Sequence uint64
	// Nonce asks those who hear it for an echo.
	Nonce Nonce
	// Echoes are the newest nonces that the sender heard of others.
	Echoes []Nonce

	ID   ID
	Name string
	// Stopping: the daemon ends after this hello. What it left in the kernel
	// lives on for each group's Grace.
	Stopping bool
	// Version is the sender's program version.
	Version      string
	Capabilities Capabilities
	Link         Link
	// Digests are of settings of the daemon as a whole.
	Digests []Digest
	// Statements are the sender's VIP groups on this link, each at most once. A
	// datagram may carry only some of them.
	Statements []Statement
}

// Link is the sender's end of the link that the hello was sent on.
type Link struct {
	// MAC is zero if the link has no Ethernet address.
	MAC [6]byte
	// Addresses are the sender's own, IPv4 before IPv6, at most four; never a
	// VIP.
	Addresses []netip.Addr
}

// Address returns the link's first address of an IP version, the zero Addr if
// it has none.
func (l *Link) Address(ipv6 bool) netip.Addr {
	for _, a := range l.Addresses {
		if a.Is6() == ipv6 {
			return a
		}
	}
	return netip.Addr{}
}

func (l *Link) equal(o *Link) bool {
	return l.MAC == o.MAC && slices.Equal(l.Addresses, o.Addresses)
}

// copyFrom makes l a copy of o that shares no memory with it.
func (l *Link) copyFrom(o *Link) {
	l.MAC, l.Addresses = o.MAC, append(l.Addresses[:0], o.Addresses...)
}

// Statement is what a node says of one VIP group.
type Statement struct {
	// Name is the group's name in the sender's configuration, for people.
	Name string
	// VIPs identify the group: two nodes mean the same group if they share an
	// address, as in the election. IPv4 before IPv6; a hello carries the first
	// eight.
	VIPs []netip.Addr
	VRID uint8
	Role Role
	Band Band
	// Priority is the byte that the sender advertises or would advertise.
	Priority  uint8
	APIServer APIServer
	// Reason is the word of the sender's last transition.
	Reason string
	// Drained: an operator keeps the group off the sender.
	Drained bool
	// Announced: the owner holds the VIPs, forwards to its predecessor, and has
	// announced itself to the segment.
	Announced bool
	// Done: the sender carries no connection of the group any more.
	Done bool
	// Predecessor is the node that the sender forwards to.
	Predecessor ID
	// Successor is the node that an owner wants to take over.
	Successor ID
	// Holders are the nodes that may carry connections of the group, newest
	// owner first; a hello carries the first eight.
	Holders []ID
	// Connections are open TCP connections to the VIPs on the sender.
	Connections uint32
	// Forwarded counts packets that the sender passed on to its predecessor.
	Forwarded uint64
	// Grace is how long the sender's shadow and forwarding may still last; whole
	// milliseconds, at most 49 days.
	Grace time.Duration
	// Digests are of settings of this group.
	Digests []Digest
}

// Shares reports whether the statement is about a group with one of vips.
func (s *Statement) Shares(vips []netip.Addr) bool {
	for _, a := range s.VIPs {
		if slices.Contains(vips, a) {
			return true
		}
	}
	return false
}

// differs reports whether the statements differ in more than what counts by
// itself: connections, forwarded packets and the time left.
func (s *Statement) differs(o *Statement) bool {
	return s.Name != o.Name || s.VRID != o.VRID || s.Role != o.Role || s.Band != o.Band ||
		s.Priority != o.Priority || s.APIServer != o.APIServer || s.Reason != o.Reason ||
		s.Drained != o.Drained || s.Announced != o.Announced || s.Done != o.Done ||
		s.Predecessor != o.Predecessor || s.Successor != o.Successor ||
		!slices.Equal(s.VIPs, o.VIPs) || !slices.Equal(s.Holders, o.Holders) ||
		!slices.Equal(s.Digests, o.Digests)
}

// copyFrom makes s a copy of o that shares no memory with it.
func (s *Statement) copyFrom(o *Statement) {
	s.VIPs = append(s.VIPs[:0], o.VIPs...)
	s.Holders = append(s.Holders[:0], o.Holders...)
	s.Digests = append(s.Digests[:0], o.Digests...)
	copied := *o
	copied.VIPs, copied.Holders, copied.Digests = s.VIPs, s.Holders, s.Digests
	*s = copied
}

// Datagram is a received hello with what the network told of it.
type Datagram struct {
	// Src is the sender's address, without a zone.
	Src netip.Addr
	// Interface is the name of the interface it arrived on.
	Interface string
	// HopLimit is the IPv4 time to live or the IPv6 hop limit.
	HopLimit uint8
	// Payload is what follows the UDP header. It belongs to the receiver and is
	// valid until the next datagram is read.
	Payload []byte
}
