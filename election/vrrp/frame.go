package vrrp

import "net/netip"

// Frame is one received IP datagram of protocol 112, with what its link layer
// and IP header told.
type Frame struct {
	Src, Dst netip.Addr
	// MAC is the link-layer source address.
	MAC [6]byte
	// TTL is the IPv4 time to live or the IPv6 hop limit.
	TTL uint8
	// Payload is what follows the IP header. It belongs to the receiver and is
	// valid until the next frame is read.
	Payload []byte
}
