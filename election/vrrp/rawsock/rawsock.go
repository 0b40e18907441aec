// Package rawsock carries VRRP adverts between the wire and the loop. One
// Socket serves every virtual router of one interface and one IP version.
//
//	wire -> AF_PACKET, filter in the kernel -> queue -> Receive -> loop
//	                                             |
//	                                      Run (peeks) -> Ready -> loop
//	loop -> Send -> raw IP socket of protocol 112 -> wire
//
// Receiving bypasses the IP stack: a firewall's INPUT policy (firewalld drops
// protocol 112) makes no node deaf, and the sender's link-layer address is
// known. Nobody but Receive takes packets out of the kernel's queue: after a
// freeze the loop empties the queue and knows that it is empty.
//
// Nothing here judges an advert: addresses, hop limit and payload are given
// as they came. A host that routes also sees adverts in transit, so who
// listens to unicast adverts has to compare Frame.Dst with its own addresses.
package rawsock

import (
	"errors"
	"net/netip"
)

const (
	// protocol is VRRP's IP protocol number (RFC 9568 5.1.1.4, 5.1.2.4).
	protocol = 112
	// hopLimit is what receivers demand: nobody off the link can send it
	// (RFC 9568 5.1.1.3, 5.1.2.3).
	hopLimit = 255
	// internetworkControl is the class of routing protocols: precedence 6 of
	// RFC 791 3.1, CS6 of RFC 4594 3.1.
	internetworkControl = 0xc0
)

// ErrInterfaceGone says that the interface a Socket was opened on has left
// this network namespace. An interface of the same name is another one: close
// the Socket and open a new one when it appears.
var ErrInterfaceGone = errors.New("interface is gone")

// Options says which adverts a Socket carries.
type Options struct {
	// Interface is the interface's name.
	Interface string
	// IPv6 chooses adverts over IPv6 instead of IPv4.
	IPv6 bool
	// Ready is the channel behind Socket.Ready, of capacity 1; several sockets may
	// share one. Nil: the socket makes its own.
	Ready chan struct{}
}

// Group returns the multicast group of VRRP: 224.0.0.18 (RFC 9568 5.1.1.2) or
// ff02::12 (5.1.2.2).
func Group(ipv6 bool) netip.Addr {
	if ipv6 {
		return netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 15: 0x12})
	}
	return netip.AddrFrom4([4]byte{224, 0, 0, 18})
}
