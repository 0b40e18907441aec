package flow

import (
	"net"
	"net/netip"
	"testing"
)

func TestReservations(t *testing.T) {
	r := reservations{}
	one, two := net.HardwareAddr{2, 0, 0, 0, 0, 1}, net.HardwareAddr{2, 0, 0, 0, 0, 2}
	rows := []struct {
		name  string
		index int
		mac   net.HardwareAddr
		v6    bool
		want  string
	}{
		{"IPv6: the MAC is in the address", 2, one, true, "fe80::7664:200:0:1"},
		{"IPv6: the same on another interface", 3, one, true, "fe80::7664:200:0:1"},
		{"IPv4: the first", 2, one, false, "169.254.255.1"},
		{"IPv4: another MAC, another address", 2, two, false, "169.254.255.2"},
		{"IPv4: another interface, another address", 3, one, false, "169.254.255.3"},
		{"IPv4: the same again", 2, two, false, "169.254.255.2"},
	}
	for _, row := range rows {
		got, err := r.of(row.index, row.mac, row.v6)
		if err != nil || got != netip.MustParseAddr(row.want) {
			t.Errorf("%s: %s, %v, want %s", row.name, got, err, row.want)
		}
		if !isReserved(got, row.mac) {
			t.Errorf("%s: %s is not known as reserved", row.name, got)
		}
	}
	for i := range 251 {
		if _, err := r.of(4, net.HardwareAddr{4, 0, 0, 0, 0, byte(i)}, false); err != nil {
			t.Fatal(err)
		}
	}
	if addr, err := r.of(5, one, false); err == nil {
		t.Errorf("the 255th address is %s", addr)
	}
}

func TestAddressesOfOthersAreNotReserved(t *testing.T) {
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 1}
	for _, addr := range []string{"169.254.1.1", "192.0.2.1", "fe80::200:ff:fe00:1", "fe80::7664:200:0:2", "2001:db8::1"} {
		if isReserved(netip.MustParseAddr(addr), mac) {
			t.Errorf("%s at %s is taken for ours", addr, mac)
		}
	}
}
