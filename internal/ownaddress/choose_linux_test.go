package ownaddress

import (
	"net"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestChoose(t *testing.T) {
	addr := func(text string, flags int) netlink.Addr {
		ip, network, err := net.ParseCIDR(text)
		if err != nil {
			t.Fatal(err)
		}
		return netlink.Addr{IPNet: &net.IPNet{IP: ip, Mask: network.Mask}, Flags: flags}
	}
	const vip, want = "2001:db8::10/128", "2001:db8::11"
	rows := []struct {
		name string
		list []netlink.Addr
		want string
	}{
		{"the first one with a network", []netlink.Addr{addr("2001:db8::11/64", 0), addr("2001:db8::12/64", 0)}, want},
		{"a single one, as DHCPv6 gives, if there is no other", []netlink.Addr{addr("fe80::1/64", 0), addr("2001:db8::11/128", 0)}, want},
		{"one with a network before a single one", []netlink.Addr{addr("2001:db8::99/128", 0), addr("2001:db8::11/64", 0)}, want},
		{"a single one before a temporary one", []netlink.Addr{addr("2001:db8::99/64", unix.IFA_F_TEMPORARY), addr("2001:db8::11/128", 0)}, want},
		{"a temporary one rather than none", []netlink.Addr{addr("2001:db8::11/64", unix.IFA_F_TEMPORARY)}, want},
		{"a secondary one of IPv4 is not temporary", []netlink.Addr{addr("192.0.2.99/32", 0), addr("192.0.2.11/24", unix.IFA_F_SECONDARY)}, "192.0.2.11"},
		{"no VIP", []netlink.Addr{addr(vip, 0), addr("2001:db8::11/128", 0)}, want},
		{"none that is tentative, a duplicate or deprecated", []netlink.Addr{
			addr("2001:db8::1/64", unix.IFA_F_TENTATIVE), addr("2001:db8::2/64", unix.IFA_F_DADFAILED),
			addr("2001:db8::3/64", unix.IFA_F_DEPRECATED), addr("2001:db8::11/64", 0),
		}, want},
		{"nothing that is not global", []netlink.Addr{addr("::1/128", 0), addr("fe80::1/64", 0), addr(vip, 0)}, "invalid IP"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			isVIP := func(a netip.Addr) bool { return a == netip.MustParsePrefix(vip).Addr() }
			if got := choose(row.list, isVIP).String(); got != row.want {
				t.Errorf("chose %s, not %s", got, row.want)
			}
		})
	}
}
