package vip

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ndp"
)

// controlQuestions is the number of addresses that nobody should have by which
// proxies are known. A station with several addresses of its own in a small
// subnet must not pass for a proxy, so all of them must be answered.
const controlQuestions = 3

// question is the frame that asks who has addr. source is an address of this
// node on the interface; only IPv6 uses it.
//
// IPv4 asks by ARP probe (RFC 5227 2.1.1): with sender 0.0.0.0 it changes no
// cache. IPv6 asks by a plain solicitation: one from the unspecified address
// would be duplicate address detection, and would make a station that is
// assigning the address at that moment give it up for good.
func question(mac net.HardwareAddr, source, addr netip.Addr) ([]byte, error) {
	if addr.Is4() {
		return arpRequest(mac, netip.IPv4Unspecified(), addr)
	}
	group, err := ndp.SolicitedNodeMulticast(addr)
	if err != nil {
		return nil, fmt.Errorf("build neighbour solicitation for %s: %w", addr, err)
	}
	solicitation := &ndp.NeighborSolicitation{TargetAddress: addr}
	if !source.IsUnspecified() {
		// RFC 4861 4.3: the option must be there in multicast solicitations, and
		// must not be when the source is unspecified.
		solicitation.Options = []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: mac}}
	}
	b, err := ndp.MarshalMessageChecksum(solicitation, source, group)
	if err != nil {
		return nil, fmt.Errorf("build neighbour solicitation for %s: %w", addr, err)
	}
	return ethernetFrame(multicastMAC(group), mac, etherTypeIPv6, ipv6Packet(source, group, b)), nil
}

// arpRequest is the frame by which source, at mac, asks who has addr (RFC 826).
func arpRequest(mac net.HardwareAddr, source, addr netip.Addr) ([]byte, error) {
	return arpFrame(arp.OperationRequest, mac, source, make(net.HardwareAddr, macLength), addr)
}

// solicitationSource chooses the source of IPv6 solicitations among the
// addresses of the interface: a link-local one, else any that may be used, else
// the unspecified address.
func solicitationSource(own []Address) netip.Addr {
	source := netip.IPv6Unspecified()
	for _, a := range own {
		addr := a.Prefix.Addr()
		if !addr.Is6() || a.Tentative || a.DADFailed {
			continue
		}
		if addr.IsLinkLocalUnicast() {
			return addr
		}
		source = addr
	}
	return source
}

// controlAddresses picks random addresses of the subnet of addr that nobody is
// expected to have: neither addr, nor an own address, nor network or broadcast.
// It returns none when no own subnet holds addr or when the subnet is too small
// to tell anything.
func controlAddresses(addr netip.Addr, own []Address, random *rand.Rand) []netip.Addr {
	subnet, ok := subnetOf(addr, own)
	if !ok {
		return nil
	}
	taken := []netip.Addr{addr}
	for _, a := range own {
		taken = append(taken, a.Prefix.Addr())
	}
	var picked []netip.Addr
	// Three free addresses among the eight of a /29 are found within far fewer
	// draws; a smaller subnet has none to find.
	for range 512 {
		candidate := randomHost(subnet, random)
		if !isHost(candidate, subnet) || slices.Contains(taken, candidate) {
			continue
		}
		taken = append(taken, candidate)
		if picked = append(picked, candidate); len(picked) == controlQuestions {
			return picked
		}
	}
	return nil
}

// subnetOf is the smallest subnet on the interface that holds addr.
func subnetOf(addr netip.Addr, own []Address) (subnet netip.Prefix, ok bool) {
	for _, a := range own {
		if p := a.Prefix; p.Contains(addr) && !p.IsSingleIP() && (!ok || p.Bits() > subnet.Bits()) {
			subnet, ok = p.Masked(), true
		}
	}
	return subnet, ok
}

// randomHost fills the host part of the subnet with random bits.
func randomHost(subnet netip.Prefix, random *rand.Rand) netip.Addr {
	b := subnet.Masked().Addr().AsSlice()
	for i := range b {
		fixed := min(max(subnet.Bits()-8*i, 0), 8)
		b[i] |= byte(random.Uint32()) & byte(0xff>>fixed)
	}
	addr, _ := netip.AddrFromSlice(b)
	return addr
}

// isHost tells whether a host may have addr: not the subnet's own address (in
// IPv6 its routers' anycast address, RFC 4291 2.6.1), not its IPv4 broadcast
// address.
func isHost(addr netip.Addr, subnet netip.Prefix) bool {
	return addr != subnet.Masked().Addr() && (addr.Is6() || subnet.Contains(addr.Next()))
}
