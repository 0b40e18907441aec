package rawsock

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/packet"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/election/vrrp"
)

var broadcast = [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// tap opens a packet socket that sees and sends everything on an interface,
// whole frames.
func tap(t testing.TB, ns netns.NsHandle, name string) *packet.Conn {
	t.Helper()
	var c *packet.Conn
	doIn(t, ns, func() error {
		link, err := net.InterfaceByName(name)
		if err != nil {
			return err
		}
		c, err = packet.Listen(link, packet.Raw, unix.ETH_P_ALL, nil)
		return err
	})
	t.Cleanup(func() { must(t, c.Close()) })
	must(t, c.SetDeadline(time.Now().Add(patience)))
	return c
}

// ether puts an Ethernet header in front of a datagram.
func ether(dst, src [6]byte, ipv6 bool, datagram []byte) []byte {
	kind := uint16(unix.ETH_P_IP)
	if ipv6 {
		kind = unix.ETH_P_IPV6
	}
	return slices.Concat(dst[:], src[:], binary.BigEndian.AppendUint16(nil, kind), datagram)
}

// captureUntil returns the frames on the tap up to and with one that contains
// mark.
func captureUntil(t testing.TB, c *packet.Conn, mark string) [][]byte {
	t.Helper()
	var frames [][]byte
	b := make([]byte, 2048)
	for {
		n, _, err := c.ReadFrom(b)
		must(t, err)
		frames = append(frames, bytes.Clone(b[:n]))
		if bytes.Contains(b[:n], []byte(mark)) {
			return frames
		}
	}
}

func TestForeignFramesAreNotReceived(t *testing.T) {
	const alice, bob = 1, 2
	from, to := netip.AddrFrom4([4]byte{192, 0, 2, alice}), netip.AddrFrom4([4]byte{192, 0, 2, bob})
	from6, to6 := netip.MustParseAddr("fe80::1"), netip.MustParseAddr("fe80::2")
	bobMAC, stranger := [6]byte{2, 0, 0, 0, 0, bob}, [6]byte{2, 0, 0, 0, 0, 0x99}
	payload := []byte("unwanted")
	other4 := func(edit func(b []byte)) []byte { return ipv4(from, to, nil, payload, edit) }
	other6 := func(edit func(b []byte)) []byte { return ipv6(from6, to6, payload, edit) }

	for _, tt := range []struct {
		name     string
		ipv6     bool
		dst      [6]byte
		datagram []byte
		counted  Counters
	}{
		{"IPv4 UDP is dropped in the kernel", false, bobMAC, other4(func(b []byte) { b[9] = unix.IPPROTO_UDP }), Counters{}},
		{"IPv4 to another station is dropped in the kernel", false, stranger, other4(nil), Counters{}},
		{"IPv4 broadcast is dropped in the kernel", false, broadcast, other4(nil), Counters{}},
		{"IPv4 cut before the protocol field is dropped in the kernel", false, bobMAC, other4(nil)[:8], Counters{}},
		{"IPv4 first fragment is counted", false, bobMAC, other4(func(b []byte) { b[6] = 0x20 }), Counters{Fragments: 1}},
		{"IPv4 later fragment is counted", false, bobMAC, other4(func(b []byte) { b[7] = 9 }), Counters{Fragments: 1}},
		{"IPv4 with a wrong checksum is counted", false, bobMAC, spoil(other4(nil), 10), Counters{Malformed: 1}},
		{"IPv4 shorter than it says is counted", false, bobMAC, other4(func(b []byte) { b[2] = 4 }), Counters{Malformed: 1}},
		{"IPv4 longer than any advert is counted", false, bobMAC, ipv4(from, to, nil, make([]byte, maxDatagram), nil), Counters{Oversized: 1}},
		{"IPv6 UDP is dropped in the kernel", true, bobMAC, other6(func(b []byte) { b[6] = unix.IPPROTO_UDP }), Counters{}},
		{"IPv6 to another station is dropped in the kernel", true, stranger, other6(nil), Counters{}},
		{"IPv6 broadcast is dropped in the kernel", true, broadcast, other6(nil), Counters{}},
		{"IPv6 behind hop-by-hop options is dropped in the kernel", true, bobMAC,
			other6(func(b []byte) { b[6] = unix.IPPROTO_HOPOPTS; b[ipv6Header] = protocol }), Counters{}},
		{"IPv6 fragment of an advert is counted", true, bobMAC,
			other6(func(b []byte) { b[6] = ipv6Fragment; b[ipv6Header] = protocol }), Counters{Fragments: 1}},
		{"IPv6 fragment of UDP is dropped in the kernel", true, bobMAC,
			other6(func(b []byte) { b[6] = ipv6Fragment; b[ipv6Header] = unix.IPPROTO_UDP }), Counters{}},
		{"IPv6 shorter than it says is counted", true, bobMAC, other6(func(b []byte) { b[4] = 4 }), Counters{Malformed: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			hosts := newSegment(t, 2)
			a, b := hosts[0], hosts[1]
			if len(tt.datagram) > 1500 {
				jumbo(t, a, b)
			}
			// Promiscuous, so that frames for others come as far as the filter.
			b.do(t, func() error {
				link, err := b.kernel.LinkByName(eth0)
				if err != nil {
					return err
				}
				return b.kernel.SetPromiscOn(link)
			})
			in := listen(t, b, tt.ipv6)
			// Put on bob's cable behind the bridge, which drops what is malformed
			// when the host filters bridged packets.
			wire := tap(t, b.swNS, b.port)
			_, err := wire.WriteTo(ether(tt.dst, a.mac, tt.ipv6, tt.datagram), &packet.Addr{HardwareAddr: tt.dst[:]})
			must(t, err)
			must(t, openOn(t, a, tt.ipv6).Send(a.addr(tt.ipv6), Group(tt.ipv6), []byte("marker")))

			want := vrrp.Frame{Src: a.addr(tt.ipv6), Dst: Group(tt.ipv6), MAC: a.mac, TTL: 255, Payload: []byte("marker")}
			if diff := cmp.Diff(want, next(t, in), compareAddrs); diff != "" {
				t.Errorf("first frame (-want +got):\n%s", diff)
			}
			for in.Counters() == (Counters{}) && tt.counted != (Counters{}) {
				await(t, "the discarded frame", in.Ready())
				empty(t, in)
			}
			if diff := cmp.Diff(tt.counted, in.Counters()); diff != "" {
				t.Errorf("counters (-want +got):\n%s", diff)
			}
		})
	}
}

// jumbo lets frames of 9000 bytes through.
func jumbo(t testing.TB, hosts ...*host) {
	t.Helper()
	for _, h := range hosts {
		port, err := h.sw.LinkByName(h.port)
		must(t, err)
		must(t, h.sw.LinkSetMTU(port, 9000))
		link, err := h.kernel.LinkByName(eth0)
		must(t, err)
		must(t, h.kernel.LinkSetMTU(link, 9000))
	}
}

// isUnreachable reports whether a captured frame is ICMP "protocol unreachable"
// (RFC 792) or ICMPv6 for a next header that the receiver does not know (type 4,
// code 1; RFC 4443 3.4).
func isUnreachable(frame []byte) bool {
	b := frame[14:]
	switch binary.BigEndian.Uint16(frame[12:]) {
	case unix.ETH_P_IP:
		return b[9] == unix.IPPROTO_ICMP && b[20] == 3 && b[21] == 2
	case unix.ETH_P_IPV6:
		return b[6] == unix.IPPROTO_ICMPV6 && b[40] == 4 && b[41] == 1
	}
	return false
}

func TestUnicastAdvertsAreNotAnsweredByICMP(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		t.Run(version(v6), func(t *testing.T) {
			hosts := newSegment(t, 2)
			alice, bob := hosts[0], hosts[1]
			a, wire := listen(t, alice, v6), tap(t, alice.ns, eth0)

			// Without a socket on bob his kernel answers: the capture would show it.
			must(t, a.Send(alice.addr(v6), bob.addr(v6), []byte("first")))
			for {
				frame := make([]byte, 2048)
				n, _, err := wire.ReadFrom(frame)
				must(t, err)
				if isUnreachable(frame[:n]) {
					break
				}
			}

			b := listen(t, bob, v6)
			const count = 20
			for range count {
				must(t, a.Send(alice.addr(v6), bob.addr(v6), []byte("advert")))
			}
			for range count {
				next(t, b)
			}
			must(t, b.Send(bob.addr(v6), alice.addr(v6), []byte("marker")))
			if slices.ContainsFunc(captureUntil(t, wire, "marker"), isUnreachable) {
				t.Error("an advert was answered by ICMP")
			}
		})
	}
}

func TestHeaderOnTheWire(t *testing.T) {
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("needs tshark")
	}
	advert4 := []byte{0x31, 51, 200, 1, 0, 10, 0, 0, 192, 0, 2, 10}
	advert6 := slices.Concat([]byte{0x31, 51, 200, 1, 0, 10, 0, 0}, netip.MustParseAddr("fe80::10").AsSlice())
	const (
		fields4 = "eth.src eth.dst ip.version ip.hdr_len ip.dsfield ip.flags.df ip.flags.mf ip.frag_offset ip.ttl ip.proto ip.checksum.status ip.src ip.dst vrrp.virt_rtr_id _ws.malformed"
		fields6 = "eth.src eth.dst ipv6.version ipv6.tclass ipv6.plen ipv6.nxt ipv6.hlim ipv6.src ipv6.dst vrrp.virt_rtr_id _ws.malformed"
	)
	for _, tt := range []struct {
		name    string
		ipv6    bool
		unicast bool
		fields  string
		want    string
	}{
		{"IPv4 multicast", false, false, fields4,
			"02:00:00:00:00:01 01:00:5e:00:00:12 4 20 0xc0 1 0 0 255 112 1 192.0.2.1 224.0.0.18 51 "},
		{"IPv4 unicast", false, true, fields4,
			"02:00:00:00:00:01 02:00:00:00:00:02 4 20 0xc0 1 0 0 255 112 1 192.0.2.1 192.0.2.2 51 "},
		{"IPv6 multicast", true, false, fields6,
			"02:00:00:00:00:01 33:33:00:00:00:12 6 0x000000c0 24 112 255 fe80::1 ff02::12 51 "},
		{"IPv6 unicast", true, true, fields6,
			"02:00:00:00:00:01 02:00:00:00:00:02 6 0x000000c0 24 112 255 fe80::1 fe80::2 51 "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			hosts := newSegment(t, 2)
			alice, bob := hosts[0], hosts[1]
			wire := tap(t, bob.ns, eth0)
			payload, dst := advert4, Group(tt.ipv6)
			if tt.ipv6 {
				payload = advert6
			}
			if tt.unicast {
				dst = bob.addr(tt.ipv6)
			}
			must(t, openOn(t, alice, tt.ipv6).Send(alice.addr(tt.ipv6), dst, payload))
			file := filepath.Join(t.TempDir(), "capture.pcap")
			must(t, os.WriteFile(file, pcap(captureUntil(t, wire, string(payload))), 0o600))

			args := []string{"-r", file, "-Y", "vrrp", "-T", "fields", "-E", "separator=/s",
				"-o", "ip.check_checksum:TRUE"}
			for _, f := range strings.Fields(tt.fields) {
				args = append(args, "-e", f)
			}
			out, err := exec.Command(tshark, args...).Output()
			must(t, err)
			if diff := cmp.Diff(tt.want+"\n", string(out)); diff != "" {
				t.Errorf("%s (-want +tshark):\n%s", tt.fields, diff)
			}
		})
	}
}

// pcap writes frames as a capture file of Ethernet (pcap-savefile(5)).
func pcap(frames [][]byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 0xa1b2c3d4)
	for _, word := range []uint32{2 | 4<<16, 0, 0, 65535, 1} {
		b = binary.LittleEndian.AppendUint32(b, word)
	}
	for _, frame := range frames {
		for _, word := range []int{0, 0, len(frame), len(frame)} {
			b = binary.LittleEndian.AppendUint32(b, uint32(word))
		}
		b = append(b, frame...)
	}
	return b
}
