package vrrp

import (
	"bytes"
	"encoding/hex"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	ip        = netip.MustParseAddr
	equalAddr = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
)

// readDatagram reads a captured IP datagram of testdata as the receiver hands
// it to Parse.
func readDatagram(t testing.TB, name string) *Frame {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".hex"))
	if err != nil {
		t.Fatal(err)
	}
	var digits strings.Builder
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "#") {
			digits.WriteString(strings.Join(strings.Fields(line), ""))
		}
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	f := &Frame{}
	switch b[0] >> 4 {
	case 4:
		header := int(b[0]&0x0f) * 4
		f.TTL, f.Payload = b[8], b[header:]
		f.Src, _ = netip.AddrFromSlice(b[12:16])
		f.Dst, _ = netip.AddrFromSlice(b[16:20])
	case 6:
		f.TTL, f.Payload = b[7], b[40:]
		f.Src, _ = netip.AddrFromSlice(b[8:24])
		f.Dst, _ = netip.AddrFromSlice(b[24:40])
	default:
		t.Fatalf("%s: IP version %d", name, b[0]>>4)
	}
	return f
}

// captures are the adverts in testdata that are valid.
var captures = []struct {
	file string
	from netip.Addr
	to   netip.Addr
	want Packet
}{
	{"keepalived-ipv4", ip("192.0.2.11"), MulticastIPv4,
		Packet{VRID: 51, Priority: 200, Interval: 100 * time.Millisecond, Addresses: []netip.Addr{ip("192.0.2.10"), ip("192.0.2.20")}, Checksum: PseudoHeader}},
	{"keepalived-ipv4-resigned", ip("192.0.2.11"), MulticastIPv4,
		Packet{VRID: 51, Priority: 0, Interval: 100 * time.Millisecond, Addresses: []netip.Addr{ip("192.0.2.10"), ip("192.0.2.20")}, Checksum: PseudoHeader}},
	{"keepalived-ipv4-unicast", ip("192.0.2.11"), ip("192.0.2.12"),
		Packet{VRID: 52, Priority: 150, Interval: 250 * time.Millisecond, Addresses: []netip.Addr{ip("192.0.2.10")}, Checksum: PseudoHeader}},
	{"keepalived-ipv6", ip("fe80::11"), MulticastIPv6,
		Packet{VRID: 53, Priority: 100, Interval: 100 * time.Millisecond, Addresses: []netip.Addr{ip("fe80::10"), ip("2001:db8::10")}, Checksum: PseudoHeader}},
	{"frr-ipv4", ip("192.0.2.11"), MulticastIPv4,
		Packet{VRID: 61, Priority: 110, Interval: 100 * time.Millisecond, Addresses: []netip.Addr{ip("192.0.2.10")}, Checksum: PseudoHeader}},
	{"frr-ipv6", ip("fe80::10"), MulticastIPv6,
		Packet{VRID: 61, Priority: 110, Interval: 100 * time.Millisecond, Addresses: []netip.Addr{ip("fe80::10"), ip("2001:db8::10")}, Checksum: PseudoHeader}},
	{"keepalived-v2", ip("192.0.2.11"), MulticastIPv4,
		Packet{Version: Version2, VRID: 54, Priority: 120, Interval: time.Second, Addresses: []netip.Addr{ip("192.0.2.10")}, Password: Password([]byte("secret12"))}},
	{"keepalived-v2-open", ip("192.0.2.11"), MulticastIPv4,
		Packet{Version: Version2, VRID: 55, Priority: 150, Interval: 3 * time.Second, Addresses: []netip.Addr{ip("192.0.2.10"), ip("192.0.2.20")}}},
	{"frr-v2", ip("192.0.2.11"), MulticastIPv4,
		Packet{Version: Version2, VRID: 61, Priority: 110, Interval: time.Second, Addresses: []netip.Addr{ip("192.0.2.10")}}},
	{"rfc9568-ipv4", ip("192.0.2.11"), MulticastIPv4,
		Packet{VRID: 51, Priority: 200, Interval: 100 * time.Millisecond, Addresses: []netip.Addr{ip("192.0.2.10")}, Checksum: MessageOnly}},
}

func TestParseCapture(t *testing.T) {
	for _, c := range captures {
		t.Run(c.file, func(t *testing.T) {
			f := readDatagram(t, c.file)
			var got Packet
			if err := Parse(f, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got, equalAddr); diff != "" {
				t.Errorf("parsed (-want +got):\n%s", diff)
			}
			if f.Src != c.from || f.Dst != c.to {
				t.Errorf("from %v to %v, want from %v to %v", f.Src, f.Dst, c.from, c.to)
			}
		})
	}
}

func TestAppendAsCaptured(t *testing.T) {
	for _, c := range captures {
		t.Run(c.file, func(t *testing.T) {
			f := readDatagram(t, c.file)
			got := c.want.Append(nil, f.Src, f.Dst)
			if diff := cmp.Diff(f.Payload, got); diff != "" {
				t.Errorf("message (-captured +appended):\n%s", diff)
			}
		})
	}
}

// TestParseRules changes one thing in a valid advert at a time; where the rule
// is not about the checksum, the checksum is made right again.
func TestParseRules(t *testing.T) {
	const v4, v6, v2 = "rfc9568-ipv4", "keepalived-ipv6", "keepalived-v2"
	payload := func(change func(b []byte) []byte) func(*Frame) {
		return func(f *Frame) { f.Payload = change(f.Payload) }
	}
	set := func(at int, v byte) func(*Frame) {
		return payload(func(b []byte) []byte { b[at] = v; return b })
	}
	cut := func(n int) func(*Frame) {
		return payload(func(b []byte) []byte { return b[:n] })
	}
	ttl := func(v uint8) func(*Frame) { return func(f *Frame) { f.TTL = v } }

	tests := []struct {
		name   string
		base   string
		change func(*Frame)
		keep   bool // the checksum is left as it is
		want   error
	}{
		{"5.1.1.3 IPv4 TTL 255 is accepted", v4, ttl(255), false, nil},
		{"5.1.1.3 IPv4 TTL 254 came through a router: discard", v4, ttl(254), false, ErrTTL},
		{"5.1.2.3 IPv6 hop limit 255 is accepted", v6, ttl(255), false, nil},
		{"5.1.2.3 IPv6 hop limit 64: discard", v6, ttl(64), false, ErrTTL},
		{"5.2.1, 7.1 version 2 over IPv6, where there is none: discard", v6, set(0, 0x21), false, ErrVersion},
		{"5.2.1, 7.1 version 1: discard", v4, set(0, 0x11), false, ErrVersion},
		{"5.2.1, 7.1 version 4: discard", v4, set(0, 0x41), false, ErrVersion},
		{"5.2.2, 7.1 an unknown type: discard", v4, set(0, 0x32), false, ErrType},
		{"5.2.2, 7.1 type 0: discard", v4, set(0, 0x30), false, ErrType},
		{"5.2.3 VRID 1 is accepted", v4, set(1, 1), false, nil},
		{"5.2.3 VRID 255 is accepted", v4, set(1, 255), false, nil},
		{"5.2.3 VRID 0 is out of range: discard", v4, set(1, 0), false, ErrVRID},
		{"5.2.4 priority 0, the owner resigns, is accepted", v4, set(2, 0), false, nil},
		{"5.2.4 priority 255, an address owner, is accepted", v4, set(2, 255), false, nil},
		{"5.2.5 a count of 0: ignore", v4, set(3, 0), false, ErrCount},
		{"5.2.5, 7.1 more addresses counted than there are: discard", v4, set(3, 2), false, ErrLength},
		{"5.2.5 fewer addresses counted than there are: the rest is ignored", v6, set(3, 1), false, nil},
		{"5.2.6 reserved bits are ignored", v4, set(4, 0xf0), false, nil},
		{"5.2.7, 7.1 an interval of 0: discard", v4, set(5, 0), false, ErrInterval},
		{"5.2.7 an interval of 0 under reserved bits: discard", v4, payload(func(b []byte) []byte { b[4], b[5] = 0xf0, 0; return b }), false, ErrInterval},
		{"5.2.8, 7.1 IPv4 with a wrong checksum: discard", v4, set(2, 199), true, ErrChecksum},
		{"5.2.8, 7.1 IPv6 with a wrong checksum: discard", v6, set(2, 99), true, ErrChecksum},
		{"5.2.8 IPv6 without the pseudo-header in the sum: discard", v6, payload(messageOnly), true, ErrChecksum},
		{"5.2.8 IPv6 from another source than summed: discard", v6, func(f *Frame) { f.Src = ip("fe80::12") }, true, ErrChecksum},
		{"5.2.9, 7.1 an address cut short: discard", v4, cut(11), false, ErrLength},
		{"5.2.9, 7.1 an IPv6 address cut short: discard", v6, cut(39), false, ErrLength},
		{"7.1 a header cut short: discard", v4, cut(7), true, ErrLength},
		{"7.1 no message at all: discard", v4, cut(0), true, ErrLength},
		{"bytes behind the message are summed and ignored", v4, payload(func(b []byte) []byte { return append(bytes.Clone(b), 1, 2, 3) }), false, nil},
		{"RFC 3768 7.1 version 2, TTL 254: discard", v2, ttl(254), false, ErrTTL},
		{"RFC 3768 5.3.2 version 2, an unknown type: discard", v2, set(0, 0x22), false, ErrType},
		{"RFC 3768 5.3.3 version 2, VRID 0: discard", v2, set(1, 0), false, ErrVRID},
		{"RFC 3768 5.3.5 version 2, a count of 0: discard", v2, set(3, 0), false, ErrCount},
		{"RFC 3768 7.1 version 2, more addresses counted than there are: discard", v2, set(3, 2), false, ErrLength},
		{"RFC 3768 7.1 version 2, the authentication data cut short: discard", v2, cut(19), false, ErrLength},
		{"RFC 3768 7.1 version 2, no authentication data: discard", v2, cut(12), false, ErrLength},
		{"RFC 3768 7.1 version 2 with a wrong checksum: discard", v2, set(2, 121), true, ErrChecksum},
		{"RFC 3768 5.3.8 version 2 with a pseudo-header in the sum: discard", v2, sealWithPseudoHeader, true, ErrChecksum},
		{"RFC 3768 5.3.7 version 2, an interval of 0: discard", v2, set(5, 0), false, ErrInterval},
		{"RFC 3768 5.3.6 version 2, an authentication header: discard", v2, set(4, 2), false, ErrAuth},
		{"RFC 3768 5.3.6 version 2, an unknown authentication: discard", v2, set(4, 3), false, ErrAuth},
		{"RFC 2338 5.3.10 version 2, a password of zeros only: discard", v2, payload(func(b []byte) []byte { clear(b[12:]); return b }), false, ErrAuth},
		{"RFC 3768 5.3.10 version 2 without authentication, its data are ignored", v2, set(4, 0), false, nil},
		{"version 2, bytes behind the message are summed and ignored", v2, payload(func(b []byte) []byte { return append(bytes.Clone(b), 1, 2, 3) }), false, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := readDatagram(t, test.base)
			test.change(f)
			if !test.keep {
				seal(f)
			}
			var p Packet
			if err := Parse(f, &p); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

// seal makes the frame's checksum right.
func seal(f *Frame) {
	if f.Src.Is6() {
		sealWithPseudoHeader(f)
		return
	}
	messageOnly(f.Payload)
}

func sealWithPseudoHeader(f *Frame) {
	messageOnly(f.Payload)
	sum := sumPseudoHeader(uint32(^be16(f.Payload[6:])), f.Src, f.Dst, len(f.Payload))
	put16(f.Payload[6:], ^fold(sum))
}

func messageOnly(b []byte) []byte {
	put16(b[6:], 0)
	put16(b[6:], ^fold(sumBytes(0, b)))
	return b
}

func be16(b []byte) uint16     { return uint16(b[0])<<8 | uint16(b[1]) }
func put16(b []byte, v uint16) { b[0], b[1] = byte(v>>8), byte(v) }

func TestAppendParse(t *testing.T) {
	many := make([]netip.Addr, 255)
	for i := range many {
		many[i] = netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
	}
	tests := []struct {
		name     string
		src, dst netip.Addr
		p        Packet
	}{
		{"5.2.8 IPv4, checksum of the message only", ip("192.0.2.11"), MulticastIPv4,
			Packet{VRID: 51, Priority: 200, Interval: 100 * time.Millisecond, Addresses: []netip.Addr{ip("192.0.2.10")}, Checksum: MessageOnly}},
		{"IPv4, checksum with the pseudo-header, as keepalived", ip("192.0.2.11"), MulticastIPv4,
			Packet{VRID: 51, Priority: 200, Interval: 100 * time.Millisecond, Addresses: []netip.Addr{ip("192.0.2.10")}, Checksum: PseudoHeader}},
		{"IPv4 unicast, checksum with the pseudo-header", ip("192.0.2.11"), ip("192.0.2.12"),
			Packet{VRID: 51, Priority: 200, Interval: 100 * time.Millisecond, Addresses: []netip.Addr{ip("192.0.2.10")}, Checksum: PseudoHeader}},
		{"IPv4 unicast, checksum with the group in the pseudo-header, as old keepalived", ip("192.0.2.11"), ip("192.0.2.12"),
			Packet{VRID: 51, Priority: 200, Interval: 100 * time.Millisecond, Addresses: []netip.Addr{ip("192.0.2.10")}, Checksum: GroupPseudoHeader}},
		{"5.2.8 IPv6", ip("fe80::11"), MulticastIPv6,
			Packet{VRID: 51, Priority: 200, Interval: 100 * time.Millisecond, Addresses: []netip.Addr{ip("2001:db8::10"), ip("2001:db8::20")}, Checksum: PseudoHeader}},
		{"5.2.7 the shortest interval, 10 ms", ip("192.0.2.11"), MulticastIPv4,
			Packet{VRID: 1, Priority: 1, Interval: 10 * time.Millisecond, Addresses: []netip.Addr{ip("192.0.2.10")}, Checksum: MessageOnly}},
		{"5.2.7 the longest interval, 40.95 s", ip("192.0.2.11"), MulticastIPv4,
			Packet{VRID: 255, Priority: 254, Interval: 40950 * time.Millisecond, Addresses: []netip.Addr{ip("192.0.2.10")}, Checksum: MessageOnly}},
		{"RFC 3768 5.3 version 2 without authentication", ip("192.0.2.11"), MulticastIPv4,
			Packet{Version: Version2, VRID: 51, Priority: 200, Interval: time.Second, Addresses: []netip.Addr{ip("192.0.2.10"), ip("192.0.2.20")}}},
		{"RFC 2338 5.3.10 version 2 with a password of three letters", ip("192.0.2.11"), ip("192.0.2.12"),
			Packet{Version: Version2, VRID: 51, Priority: 1, Interval: time.Second, Addresses: []netip.Addr{ip("192.0.2.10")}, Password: Password{'a', 'b', 'c'}}},
		{"RFC 3768 5.3.7 the longest interval of version 2, 255 s", ip("192.0.2.11"), MulticastIPv4,
			Packet{Version: Version2, VRID: 51, Priority: 200, Interval: 255 * time.Second, Addresses: []netip.Addr{ip("192.0.2.10")}}},
		{"5.2.5 255 addresses", ip("192.0.2.11"), MulticastIPv4,
			Packet{VRID: 51, Priority: 0, Interval: time.Second, Addresses: many, Checksum: MessageOnly}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			message := test.p.Append([]byte("before"), test.src, test.dst)
			if !bytes.HasPrefix(message, []byte("before")) {
				t.Fatalf("the bytes before were changed: %q", message[:6])
			}
			if got := message[6+4] & 0xf0; got != 0 && test.p.Version == Version3 {
				t.Errorf("5.2.6: reserved bits are sent as %#x, want 0", got)
			}
			f := Frame{Src: test.src, Dst: test.dst, TTL: TTL, Payload: message[6:]}
			var got Packet
			if err := Parse(&f, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.p, got, equalAddr); diff != "" {
				t.Errorf("after a round trip (-want +got):\n%s", diff)
			}
		})
	}
}

// TestParseReuses: a Packet that was parsed into before keeps nothing of it.
func TestParseReuses(t *testing.T) {
	var p Packet
	for _, c := range []int{0, 3, 7, 8, 9} {
		if err := Parse(readDatagram(t, captures[c].file), &p); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(captures[c].want, p, equalAddr); diff != "" {
			t.Errorf("%s (-want +got):\n%s", captures[c].file, diff)
		}
	}
}

// FuzzParse: no bytes make Parse panic, and what it accepts is appended to the
// same message again; what is ignored aside: reserved bits, data of no
// authentication, bytes behind the message.
func FuzzParse(f *testing.F) {
	for _, c := range captures {
		d := readDatagram(f, c.file)
		f.Add(d.Payload, d.Src.Is6(), d.TTL)
	}
	f.Add([]byte{}, true, uint8(TTL))
	f.Fuzz(func(t *testing.T, b []byte, ipv6 bool, ttl uint8) {
		frame := Frame{Src: ip("192.0.2.11"), Dst: MulticastIPv4, TTL: ttl, Payload: b}
		if ipv6 {
			frame.Src, frame.Dst = ip("fe80::11"), MulticastIPv6
		}
		// A random checksum is nearly never right: judge the rest as well.
		for _, sealed := range []bool{false, true} {
			if sealed && len(b) >= headerLength {
				frame.Payload = bytes.Clone(b)
				seal(&frame)
			}
			checkParse(t, &frame)
		}
	})
}

func checkParse(t *testing.T, f *Frame) {
	before := bytes.Clone(f.Payload)
	var p Packet
	err := Parse(f, &p)
	if !bytes.Equal(before, f.Payload) {
		t.Fatal("Parse changed the payload")
	}
	if err != nil {
		return
	}
	again := p.Append(nil, f.Src, f.Dst)
	if len(again) < len(f.Payload) || p.Version == Version3 && f.Payload[4]&0xf0 != 0 {
		return
	}
	if p.Version == Version2 && p.Password == (Password{}) && !allZero(f.Payload[len(again)-authLength:]) {
		return
	}
	// All ones and all zeros are the same sum (RFC 1071 2).
	if sum := be16(f.Payload[6:]); sum == 0xffff || sum == 0 {
		return
	}
	if !bytes.Equal(again, f.Payload) {
		t.Fatalf("appended %x, parsed %x", again, f.Payload)
	}
}

func allZero(b []byte) bool { return len(bytes.TrimLeft(b, "\x00")) == 0 }
