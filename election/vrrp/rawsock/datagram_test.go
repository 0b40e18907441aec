package rawsock

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vipd/vipd/election/vrrp"
)

var (
	alice4 = netip.MustParseAddr("192.0.2.1")
	alice6 = netip.MustParseAddr("fe80::1")
)

// compareAddrs lets cmp look at addresses.
var compareAddrs = cmpopts.EquateComparable(netip.Addr{})

// ipv4 builds a datagram of protocol 112 with a header of 20 bytes plus
// options, and lets edit spoil it before the header checksum is computed.
func ipv4(src, dst netip.Addr, options, payload []byte, edit func(b []byte)) []byte {
	header := ipv4MinHeader + len(options)
	b := make([]byte, ipv4MinHeader, header+len(payload))
	b[0] = 0x40 | byte(header/4)
	b[1] = internetworkControl
	binary.BigEndian.PutUint16(b[2:], uint16(header+len(payload)))
	b[8] = hopLimit
	b[9] = protocol
	copy(b[12:], src.AsSlice())
	copy(b[16:], dst.AsSlice())
	b = append(append(b, options...), payload...)
	if edit != nil {
		edit(b)
	}
	sealIPv4(b[:header])
	return b
}

// sealIPv4 writes the header's checksum.
func sealIPv4(header []byte) {
	var sum uint32
	for i := 0; i < len(header); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(header[i:]))
	}
	for sum>>16 != 0 {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(header[10:], ^uint16(sum))
}

// ipv6 builds a datagram of protocol 112 and lets edit spoil it.
func ipv6(src, dst netip.Addr, payload []byte, edit func(b []byte)) []byte {
	b := make([]byte, ipv6Header, ipv6Header+len(payload))
	b[0] = 0x60
	binary.BigEndian.PutUint16(b[4:], uint16(len(payload)))
	b[6] = protocol
	b[7] = hopLimit
	copy(b[8:], src.AsSlice())
	copy(b[24:], dst.AsSlice())
	b = append(b, payload...)
	if edit != nil {
		edit(b)
	}
	return b
}

func TestDecode(t *testing.T) {
	payload := []byte("an advert")
	want4 := vrrp.Frame{Src: alice4, Dst: Group(false), TTL: 255, Payload: payload}
	want6 := vrrp.Frame{Src: alice6, Dst: Group(true), TTL: 255, Payload: payload}
	plain4 := ipv4(alice4, Group(false), nil, payload, nil)
	plain6 := ipv6(alice6, Group(true), payload, nil)
	edit4 := func(edit func(b []byte)) []byte { return ipv4(alice4, Group(false), nil, payload, edit) }
	edit6 := func(edit func(b []byte)) []byte { return ipv6(alice6, Group(true), payload, edit) }
	padding := make([]byte, 17)

	for _, tt := range []struct {
		name    string
		ipv6    bool
		bytes   []byte
		verdict verdict
		frame   vrrp.Frame
	}{
		{"IPv4 advert", false, plain4, accepted, want4},
		{"IPv4 advert padded to Ethernet's minimum: padding is cut", false, slices.Concat(plain4, padding), accepted, want4},
		{"IPv4 advert behind header options: they are skipped", false,
			ipv4(alice4, Group(false), []byte{0x94, 4, 0, 0}, payload, nil), accepted, want4},
		{"IPv4 advert from beyond a router: hop limit is told, not judged", false,
			edit4(func(b []byte) { b[8] = 254 }), accepted,
			vrrp.Frame{Src: alice4, Dst: Group(false), TTL: 254, Payload: payload}},
		{"IPv4 with \"do not fragment\": whole", false, edit4(func(b []byte) { b[6] = 0x40 }), accepted, want4},
		{"IPv4 header alone: an empty payload", false, ipv4(alice4, Group(false), nil, nil, nil), accepted,
			vrrp.Frame{Src: alice4, Dst: Group(false), TTL: 255, Payload: []byte{}}},
		{"IPv4 first fragment", false, edit4(func(b []byte) { b[6] = 0x20 }), fragmented, vrrp.Frame{}},
		{"IPv4 later fragment", false, edit4(func(b []byte) { b[7] = 1 }), fragmented, vrrp.Frame{}},
		{"IPv4 nothing at all", false, nil, malformed, vrrp.Frame{}},
		{"IPv4 cut inside the header", false, plain4[:19], malformed, vrrp.Frame{}},
		{"IPv4 cut inside the payload", false, plain4[:len(plain4)-1], malformed, vrrp.Frame{}},
		{"IPv4 total length below the header's", false, edit4(func(b []byte) { b[3] = 19 }), malformed, vrrp.Frame{}},
		{"IPv4 header length below the least", false, edit4(func(b []byte) { b[0] = 0x44 }), malformed, vrrp.Frame{}},
		{"IPv4 header length beyond the datagram", false, edit4(func(b []byte) { b[0] = 0x4f }), malformed, vrrp.Frame{}},
		{"IPv4 of another version", false, edit4(func(b []byte) { b[0] = 0x65 }), malformed, vrrp.Frame{}},
		{"IPv4 of another protocol", false, edit4(func(b []byte) { b[9] = 17 }), malformed, vrrp.Frame{}},
		{"RFC 1122 3.2.1.2 header checksum wrong", false, spoil(plain4, 10), malformed, vrrp.Frame{}},

		{"IPv6 advert", true, plain6, accepted, want6},
		{"IPv6 advert padded: padding is cut", true, slices.Concat(plain6, padding), accepted, want6},
		{"IPv6 fragment", true, edit6(func(b []byte) { b[6] = ipv6Fragment }), fragmented, vrrp.Frame{}},
		{"IPv6 nothing at all", true, nil, malformed, vrrp.Frame{}},
		{"IPv6 cut inside the header", true, plain6[:39], malformed, vrrp.Frame{}},
		{"IPv6 cut inside the payload", true, plain6[:len(plain6)-1], malformed, vrrp.Frame{}},
		{"IPv6 of another version", true, edit6(func(b []byte) { b[0] = 0x40 }), malformed, vrrp.Frame{}},
		{"IPv6 hop-by-hop options in front: not followed", true, edit6(func(b []byte) { b[6] = 0 }), malformed, vrrp.Frame{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got vrrp.Frame
			if v := decode(tt.bytes, tt.ipv6, &got); v != tt.verdict {
				t.Errorf("verdict %d, want %d", v, tt.verdict)
			}
			if diff := cmp.Diff(tt.frame, got, compareAddrs); diff != "" {
				t.Errorf("frame (-want +got):\n%s", diff)
			}
		})
	}
}

// spoil returns a copy of b with one bit turned at offset.
func spoil(b []byte, offset int) []byte {
	c := slices.Clone(b)
	c[offset] ^= 1
	return c
}

func FuzzDecode(f *testing.F) {
	payload := []byte("an advert")
	f.Add(ipv4(alice4, Group(false), []byte{0x94, 4, 0, 0}, payload, nil), false)
	f.Add(ipv6(alice6, Group(true), payload, nil), true)
	f.Fuzz(func(t *testing.T, b []byte, v6 bool) {
		before := slices.Clone(b)
		var frame vrrp.Frame
		v := decode(b, v6, &frame)
		if !slices.Equal(b, before) {
			t.Fatal("decode changed its input")
		}
		if v != accepted {
			if diff := cmp.Diff(vrrp.Frame{}, frame, compareAddrs); diff != "" {
				t.Fatalf("discarded, yet the frame was changed:\n%s", diff)
			}
			return
		}
		if frame.Src.Is6() != v6 || frame.Dst.Is6() != v6 || len(frame.Payload) > len(b)-ipv4MinHeader {
			t.Fatalf("accepted %x as %+v", b, frame)
		}
	})
}
