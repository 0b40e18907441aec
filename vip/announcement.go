package vip

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ndp"
)

// announcement returns the frames that tell every neighbour that mac has addr.
// router is the interface's forwarding state, for the neighbour advertisement.
func announcement(mac net.HardwareAddr, addr netip.Addr, router bool) ([][]byte, error) {
	if addr.Is4() {
		return gratuitousARP(mac, addr)
	}
	frame, err := unsolicitedAdvertisement(mac, addr, router)
	return [][]byte{frame}, err
}

// gratuitousARP announces an IPv4 address in both forms of RFC 5944 4.6, because
// some stacks update their cache from requests only and some from replies only.
// The reply names its own MAC as target too: Linux takes a reply for gratuitous,
// and so overrides an entry younger than a second, only then.
func gratuitousARP(mac net.HardwareAddr, addr netip.Addr) ([][]byte, error) {
	request, err := arpFrame(arp.OperationRequest, mac, addr, make(net.HardwareAddr, macLength), addr)
	if err != nil {
		return nil, err
	}
	reply, err := arpFrame(arp.OperationReply, mac, addr, mac, addr)
	return [][]byte{request, reply}, err
}

// arpFrame is a broadcast ARP packet from the station mac.
func arpFrame(op arp.Operation, mac net.HardwareAddr, sender netip.Addr, targetMAC net.HardwareAddr, target netip.Addr) ([]byte, error) {
	p, err := arp.NewPacket(op, mac, sender, targetMAC, target)
	if err != nil {
		return nil, fmt.Errorf("build ARP packet for %s: %w", target, err)
	}
	b, err := p.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("build ARP packet for %s: %w", target, err)
	}
	return ethernetFrame(broadcast, mac, etherTypeARP, b), nil
}

// unsolicitedAdvertisement announces an IPv6 address (RFC 4861 7.2.6). Its
// source is the VIP itself: the address is on the interface when it is
// announced, Linux does the same for its own addresses, switches that learn
// bindings from the source (SAVI, ND inspection) learn the right one, and it
// needs no link-local address. The router flag repeats what the kernel answers
// to solicitations: a host that sees a router turn into a host drops its routes
// through it (RFC 4861 7.2.5).
func unsolicitedAdvertisement(mac net.HardwareAddr, addr netip.Addr, router bool) ([]byte, error) {
	b, err := ndp.MarshalMessageChecksum(&ndp.NeighborAdvertisement{
		Router:        router,
		Override:      true,
		TargetAddress: addr,
		Options:       []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Target, Addr: mac}},
	}, addr, allNodes)
	if err != nil {
		return nil, fmt.Errorf("build neighbour advertisement for %s: %w", addr, err)
	}
	return ethernetFrame(multicastMAC(allNodes), mac, etherTypeIPv6, ipv6Packet(addr, allNodes, b)), nil
}
