package vip

import (
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Host A of the captures in testdata, with its addresses.
var (
	macA = net.HardwareAddr{2, 0, 0, 0, 0, 0x0a}
	vip4 = netip.MustParseAddr("192.0.2.10")
	vip6 = netip.MustParseAddr("2001:db8::10")
)

// The other stations of a test segment; macA is the node's.
var (
	macB     = net.HardwareAddr{2, 0, 0, 0, 0, 0x0b}
	macOther = net.HardwareAddr{2, 0, 0, 0, 0, 0x77}
)

func TestAnnouncementFrames(t *testing.T) {
	tests := []struct {
		name   string
		addr   netip.Addr
		router bool
		golden []string
	}{
		{"IPv4: RFC 5944 4.6 request, then reply", vip4, false, []string{"announce-arp-request", "announce-arp-reply"}},
		{"IPv6: RFC 4861 7.2.6 advertisement with override", vip6, false, []string{"announce-advertisement"}},
		{"IPv6, forwarding interface: RFC 4861 4.4 router flag", vip6, true, []string{"announce-advertisement-router"}},
	}
	for _, tt := range tests {
		frames, err := announcement(macA, tt.addr, tt.router)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if len(frames) != len(tt.golden) {
			t.Fatalf("%s: %d frames, want %d", tt.name, len(frames), len(tt.golden))
		}
		for i, frame := range frames {
			compareFrame(t, tt.golden[i], frame)
		}
	}
}

// What the kernel sends for an address of its own is what switches, hosts and
// inspection know; the announcements are the same to the last bit.
func TestAnnouncementsAreThoseOfTheKernel(t *testing.T) {
	arp, err := gratuitousARP(macA, vip4)
	if err != nil {
		t.Fatal(err)
	}
	advertisement, err := unsolicitedAdvertisement(macA, vip6, false)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(readFrame(t, "linux-arp-announcement"), arp[0][:ethernetLength+arpLength]); diff != "" {
		t.Errorf("ARP announcement, without padding (-kernel +ours):\n%s", diff)
	}
	if diff := cmp.Diff(readFrame(t, "linux-unsolicited-advertisement"), advertisement); diff != "" {
		t.Errorf("unsolicited neighbour advertisement (-kernel +ours):\n%s", diff)
	}
}
