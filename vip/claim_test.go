package vip

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/mdlayher/ndp"
)

// compareAssertions compares their fields.
var compareAssertions = cmp.Options{cmp.AllowUnexported(assertion{}), cmpopts.EquateComparable(netip.Addr{})}

// from is what host A asserts of an address.
func from(addr netip.Addr) *assertion { return &assertion{addr: addr, mac: [6]byte(macA)} }

func TestFramesThatTheKernelSends(t *testing.T) {
	tests := []struct {
		name, file string
		want       *assertion
	}{
		{"ARP announcement claims its sender", "linux-arp-announcement", from(vip4)},
		{"ARP reply claims its sender", "linux-arp-reply", from(vip4)},
		{"ARP request claims its sender, not its target", "linux-arp-request",
			&assertion{addr: netip.MustParseAddr("192.0.2.20"), mac: [6]byte{2, 0, 0, 0, 0, 0x0b}}},
		{"unsolicited advertisement claims its target", "linux-unsolicited-advertisement", from(vip6)},
		{"solicited advertisement claims its target", "linux-solicited-advertisement", from(vip6)},
		{"solicitation of duplicate address detection is tentative", "linux-dad-solicitation",
			&assertion{addr: vip6, mac: [6]byte(macA), tentative: true}},
		{"solicitation with a source claims nothing", "linux-solicitation", nil},
		{"router solicitation claims nothing", "linux-router-solicitation", nil},
		{"echo request claims nothing", "linux-echo-request", nil},
		{"own ARP probe claims nothing", "question-arp-probe", nil},
		{"own question in IPv6 claims nothing", "question-solicitation", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { checkAssertion(t, readFrame(t, tt.file), tt.want) })
	}
}

func TestBadFramesClaimNothing(t *testing.T) {
	const (
		arpStart  = ethernetLength
		ipStart   = ethernetLength
		icmpStart = ethernetLength + ipv6Length
	)
	put16 := func(at int, v uint16) func([]byte) []byte {
		return func(b []byte) []byte { binary.BigEndian.PutUint16(b[at:], v); return b }
	}
	put8 := func(at int, v byte) func([]byte) []byte {
		return func(b []byte) []byte { b[at] = v; return b }
	}
	cut := func(n int) func([]byte) []byte { return func(b []byte) []byte { return b[:n] } }
	fill := func(at, n int, v byte) func([]byte) []byte {
		return func(b []byte) []byte { copy(b[at:at+n], slices.Repeat([]byte{v}, n)); return b }
	}
	tests := []struct {
		name, file string
		damage     func([]byte) []byte
	}{
		{"no Ethernet header", "linux-arp-reply", cut(13)},
		{"another EtherType", "linux-arp-reply", put16(12, 0x8035)},
		{"ARP cut short", "linux-arp-reply", cut(ethernetLength + arpLength - 1)},
		{"ARP of another hardware", "linux-arp-reply", put16(arpStart, 6)},
		{"ARP for another protocol", "linux-arp-reply", put16(arpStart+2, 0x86dd)},
		{"ARP with long hardware addresses", "linux-arp-reply", put8(arpStart+4, 8)},
		{"ARP with long protocol addresses", "linux-arp-reply", put8(arpStart+5, 16)},
		{"ARP operation 0", "linux-arp-reply", put16(arpStart+6, 0)},
		{"ARP operation 3 (RARP)", "linux-arp-reply", put16(arpStart+6, 3)},
		{"ARP sender of a group MAC", "linux-arp-reply", put8(arpStart+8, 0x03)},
		{"ARP sender without a MAC", "linux-arp-reply", fill(arpStart+8, 6, 0)},
		{"IPv6 cut short", "linux-solicited-advertisement", cut(icmpStart + 10)},
		{"IP version 4", "linux-solicited-advertisement", put8(ipStart, 0x40)},
		{"payload longer than the frame", "linux-solicited-advertisement", put16(ipStart+4, 40)},
		{"payload shorter than an advertisement", "linux-solicited-advertisement", put16(ipStart+4, 20)},
		{"not ICMPv6", "linux-solicited-advertisement", put8(ipStart+6, 17)},
		{"RFC 4861 7.1.2: hop limit below 255", "linux-solicited-advertisement", put8(ipStart+7, 254)},
		{"RFC 4861 7.1.2: wrong checksum", "linux-solicited-advertisement", put16(icmpStart+2, 0)},
		{"RFC 4861 7.1.2: code not 0", "linux-solicited-advertisement", sum(put8(icmpStart+1, 1))},
		{"RFC 4861 7.1.2: option of length 0", "linux-solicited-advertisement", sum(put8(icmpStart+25, 0))},
		{"RFC 4861 7.1.2: option longer than the packet", "linux-solicited-advertisement", sum(put8(icmpStart+25, 2))},
		{"RFC 4861 7.1.2: target is a multicast address", "linux-solicited-advertisement", sum(put8(icmpStart+8, 0xff))},
		{"target is the unspecified address", "linux-solicited-advertisement", sum(fill(icmpStart+8, 16, 0))},
		{"target link-layer address of a group", "linux-solicited-advertisement", sum(put8(icmpStart+26, 0x03))},
		{"redirect", "linux-solicited-advertisement", sum(put8(icmpStart, 137))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { checkAssertion(t, tt.damage(readFrame(t, tt.file)), nil) })
	}
}

// sum damages a frame and makes its ICMPv6 checksum right again.
func sum(damage func([]byte) []byte) func([]byte) []byte {
	return func(b []byte) []byte {
		b = damage(b)
		ip, message := b[ethernetLength:], b[ethernetLength+ipv6Length:]
		message[2], message[3] = 0, 0
		binary.BigEndian.PutUint16(message[2:], icmpv6Checksum([16]byte(ip[8:24]), [16]byte(ip[24:40]), message))
		return b
	}
}

func TestAdvertisementNamesItsMAC(t *testing.T) {
	other := net.HardwareAddr{2, 0, 0, 0, 0, 0x77}
	tests := []struct {
		name    string
		options []ndp.Option
		want    net.HardwareAddr
	}{
		{"RFC 4861 4.4: without the option the frame's sender", nil, macA},
		{"the option's, as proxies and bonds do", []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Target, Addr: other}}, other},
		{"a source option says nothing", []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: other}}, macA},
		{"behind another option", []ndp.Option{ndp.NewMTU(1500), &ndp.LinkLayerAddress{Direction: ndp.Target, Addr: other}}, other},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			message, err := ndp.MarshalMessageChecksum(
				&ndp.NeighborAdvertisement{TargetAddress: vip6, Options: tt.options}, vip6, allNodes)
			if err != nil {
				t.Fatal(err)
			}
			frame := ethernetFrame(multicastMAC(allNodes), macA, etherTypeIPv6, ipv6Packet(vip6, allNodes, message))
			checkAssertion(t, frame, &assertion{addr: vip6, mac: [6]byte(tt.want)})
		})
	}
}

// checkAssertion parses a frame; want nil is a frame that claims nothing.
func checkAssertion(t *testing.T, frame []byte, want *assertion) {
	t.Helper()
	got, ok := parseAssertion(frame)
	if ok != (want != nil) {
		t.Fatalf("parsed %+v, %v; want %+v", got, ok, want)
	}
	if ok {
		if diff := cmp.Diff(*want, got, compareAssertions); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestParsingAllocatesNothing(t *testing.T) {
	for _, name := range []string{"linux-arp-reply", "linux-solicited-advertisement", "linux-dad-solicitation"} {
		frame := readFrame(t, name)
		if n := testing.AllocsPerRun(100, func() { parseAssertion(frame) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// FuzzParseAssertion: no frame crashes the parser, and what it reads is an
// address that a station can have.
func FuzzParseAssertion(f *testing.F) {
	for _, name := range []string{
		"linux-arp-announcement", "linux-arp-reply", "linux-arp-request", "linux-dad-solicitation", "linux-echo-request",
		"linux-solicitation", "linux-solicited-advertisement", "linux-unsolicited-advertisement", "question-arp-probe",
	} {
		f.Add(readFrame(f, name))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		a, ok := parseAssertion(frame)
		if !ok {
			return
		}
		if !a.addr.IsValid() || a.addr.IsUnspecified() || a.mac[0]&1 != 0 || a.mac == [6]byte{} {
			t.Errorf("claim of nothing: %+v", a)
		}
		if a.tentative && a.addr.Is4() {
			t.Errorf("ARP has no tentative claim: %+v", a)
		}
	})
}
