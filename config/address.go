package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// vipAddress is an address that a group holds; the length of a host prefix may
// be written.
func vipAddress() kind[netip.Addr] {
	return kind[netip.Addr]{
		parse: func(s string) (netip.Addr, error) {
			bare, length, hasLength := strings.Cut(s, "/")
			a, err := unicastAddress(bare)
			if err != nil {
				return netip.Addr{}, err
			}
			if host := strconv.Itoa(a.BitLen()); hasLength && length != host {
				return netip.Addr{}, fmt.Errorf("%s has a prefix length other than /%s; write %s", quote(s), host, a)
			}
			return a, nil
		},
		format: netip.Addr.String,
		tag:    "!!str",
	}
}

// peerAddress is where adverts are sent to.
func peerAddress() kind[netip.Addr] {
	return kind[netip.Addr]{
		parse:  unicastAddress,
		format: netip.Addr.String,
		tag:    "!!str",
	}
}

// unicastAddress is an address that a host on the network can have.
func unicastAddress(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	var problem string
	switch {
	case err != nil:
		problem = "is no IP address"
	case a.Zone() != "":
		problem = "has a zone; write the address without it"
	case a.Is4In6():
		problem = "is an IPv4 address in IPv6 form; write " + a.Unmap().String()
	case a.IsUnspecified():
		problem = "is the unspecified address"
	case a.IsLoopback():
		problem = "is a loopback address"
	case a.IsMulticast():
		problem = "is a multicast address"
	case a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		problem = "is the broadcast address"
	case a.Is4() && a.As4()[0] == 0:
		problem = "is in 0.0.0.0/8, which hosts cannot have"
	default:
		return a, nil
	}
	return netip.Addr{}, fmt.Errorf("%s %s", quote(s), problem)
}

func isAddress(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}
