package vip

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// compareSegments compares their fields.
var compareSegments = cmp.Options{cmp.AllowUnexported(segment{}), cmpopts.EquateComparable(netip.AddrPort{})}

func TestParseSegment(t *testing.T) {
	tests := []struct {
		file string
		want segment
	}{
		{"linux-syn-ack-4", segment{
			src: netip.MustParseAddrPort("192.0.2.10:6443"), dst: netip.MustParseAddrPort("192.0.2.11:50000"),
			sequence: 0x2466775c, ack: 0x9e8ce11a, flags: flagSYN | flagACK,
		}},
		{"linux-syn-ack-6", segment{
			src: netip.MustParseAddrPort("[2001:db8::10]:6443"), dst: netip.MustParseAddrPort("[2001:db8::11]:50000"),
			sequence: 0xe66361e6, ack: 0xe1f4e10e, flags: flagSYN | flagACK,
		}},
		{"linux-rst-4", segment{
			src: netip.MustParseAddrPort("192.0.2.10:6444"), dst: netip.MustParseAddrPort("192.0.2.11:50001"),
			ack: 0x2f0fa504, flags: flagRST | flagACK,
		}},
		{"linux-rst-6", segment{
			src: netip.MustParseAddrPort("[2001:db8::10]:6444"), dst: netip.MustParseAddrPort("[2001:db8::11]:50001"),
			ack: 0x5de74ad1, flags: flagRST | flagACK,
		}},
	}
	for _, tt := range tests {
		got, ok := parseSegment(readFrame(t, tt.file))
		if diff := cmp.Diff(tt.want, got, compareSegments); diff != "" || !ok {
			t.Errorf("%s: parsed %v (-want +got):\n%s", tt.file, ok, diff)
		}
	}
}

// A segment of ours is the kernel's to the last bit, but for the flow label,
// which the kernel picks at random.
func TestSegmentsAreThoseOfTheKernel(t *testing.T) {
	for _, file := range []string{"linux-rst-4", "linux-rst-6"} {
		kernel := readFrame(t, file)[ethernetLength:]
		s, ok := parseSegment(readFrame(t, file))
		if !ok {
			t.Fatalf("%s is no segment", file)
		}
		if kernel[0]>>4 == 6 {
			binary.BigEndian.PutUint32(kernel, 6<<28)
		}
		if diff := cmp.Diff(kernel, s.packet()); diff != "" {
			t.Errorf("%s (-kernel +ours):\n%s", file, diff)
		}
	}
}

func TestBadFramesAreNoSegments(t *testing.T) {
	put8 := func(at int, v byte) func([]byte) []byte {
		return func(b []byte) []byte { b[at] = v; return b }
	}
	put16 := func(at int, v uint16) func([]byte) []byte {
		return func(b []byte) []byte { binary.BigEndian.PutUint16(b[at:], v); return b }
	}
	cut := func(n int) func([]byte) []byte { return func(b []byte) []byte { return b[:n] } }
	const (
		ip   = ethernetLength
		tcp4 = ip + ipv4Length
		tcp6 = ip + ipv6Length
	)
	tests := []struct {
		name, file string
		damage     func([]byte) []byte
	}{
		{"no Ethernet header", "linux-rst-4", cut(13)},
		{"another EtherType", "linux-rst-4", put16(12, 0x8100)},
		{"IPv6 in a frame for IPv4", "linux-rst-6", put16(12, etherTypeIPv4)},
		{"IPv4 in a frame for IPv6", "linux-rst-4", put16(12, etherTypeIPv6)},
		{"IPv4 header cut short", "linux-rst-4", cut(tcp4 - 1)},
		{"IPv4 header shorter than it can be", "linux-rst-4", put8(ip, 0x44)},
		{"IPv4 options longer than the packet", "linux-rst-4", put8(ip, 0x4f)},
		{"IPv4 total length longer than the frame", "linux-rst-4", put16(ip+2, 41)},
		{"IPv4 total length shorter than its header", "linux-rst-4", put16(ip+2, 19)},
		{"IPv4 first fragment", "linux-rst-4", put16(ip+6, 0x2000)},
		{"IPv4 later fragment", "linux-rst-4", put16(ip+6, 0x0001)},
		{"IPv4, not TCP", "linux-rst-4", put8(ip+9, 17)},
		{"IPv6 header cut short", "linux-rst-6", cut(tcp6 - 1)},
		{"IPv6 payload longer than the frame", "linux-rst-6", put16(ip+4, 21)},
		{"IPv6 payload shorter than a TCP header", "linux-rst-6", put16(ip+4, 19)},
		{"IPv6 with a fragment header", "linux-rst-6", put8(ip+6, 44)},
		{"TCP header shorter than it can be", "linux-rst-4", put8(tcp4+12, 4<<4)},
		{"TCP options longer than the segment", "linux-rst-6", put8(tcp6+12, 6<<4)},
	}
	for _, tt := range tests {
		if s, ok := parseSegment(tt.damage(readFrame(t, tt.file))); ok {
			t.Errorf("%s: parsed %+v", tt.name, s)
		}
	}
}

// FuzzParseSegment: no frame crashes the parser, and a segment that was read is
// read again from the packet that is built of it.
func FuzzParseSegment(f *testing.F) {
	for _, name := range []string{"linux-syn-ack-4", "linux-syn-ack-6", "linux-rst-4", "linux-rst-6", "knock-syn-4", "knock-syn-6", "linux-arp-reply"} {
		f.Add(readFrame(f, name))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		s, ok := parseSegment(frame)
		if !ok {
			return
		}
		etherType := binary.BigEndian.Uint16(frame[12:])
		again, ok := parseSegment(ethernetFrame(macA, macB, etherType, s.packet()))
		if diff := cmp.Diff(s, again, compareSegments); diff != "" || !ok {
			t.Errorf("built and read again: %v (-first +second):\n%s", ok, diff)
		}
	})
}
