package vip

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/packet"
)

// claims watches the host's eth0 for claims of the group and of marker.
func (h host) claims() <-chan Claim {
	heard := make(chan Claim, 4096)
	h.start(func(ctx context.Context) error {
		watched := func(a netip.Addr) bool { return slices.Contains(group, a) || a == marker }
		return WatchClaims(ctx, "eth0", watched, func(c Claim) { heard <- c })
	})
	return heard
}

// marker is claimed to mark the end of what a test sends.
var marker = netip.MustParseAddr("192.0.2.200")

// sender sends raw frames on the host's eth0.
func (h host) sender() func(frames ...[]byte) {
	h.t.Helper()
	index := h.index()
	var conn *packet.Conn
	h.do(func() {
		var err error
		if conn, err = packet.Listen(&net.Interface{Index: index}, packet.Raw, 0, nil); err != nil {
			h.t.Fatal(err)
		}
	})
	h.t.Cleanup(func() { conn.Close() })
	return func(frames ...[]byte) {
		h.t.Helper()
		for _, frame := range frames {
			if err := sendFrame(conn, frame); err != nil {
				h.t.Fatal(err)
			}
		}
	}
}

// mustAnnounce is the announcement of addr by mac.
func mustAnnounce(t *testing.T, mac net.HardwareAddr, addr netip.Addr) [][]byte {
	t.Helper()
	frames, err := announcement(mac, addr, false)
	if err != nil {
		t.Fatal(err)
	}
	return frames
}

// awaitListening sends the marker until the watch hears it, and drains what it
// heard.
func awaitListening(t *testing.T, heard <-chan Claim, send func(...[]byte)) {
	t.Helper()
	frame := mustAnnounce(t, macOther, marker)[0]
	await(t, "the watch to listen", func() bool {
		send(frame)
		select {
		case <-heard:
			return true
		default:
			return false
		}
	})
	// All markers sent so far are older than this one.
	last := mustAnnounce(t, macB, marker)[0]
	send(last)
	for c := range heard {
		if slices.Equal(c.MAC, macB) {
			return
		}
	}
}

// claimed sends frames and returns the claims heard from them.
func claimed(t *testing.T, heard <-chan Claim, send func(...[]byte), frames ...[]byte) []Claim {
	t.Helper()
	send(frames...)
	send(mustAnnounce(t, macB, marker)[0])
	var claims []Claim
	for {
		select {
		case c := <-heard:
			if c.Addr == marker {
				return claims
			}
			claims = append(claims, c)
		case <-time.After(patience):
			t.Fatalf("waited in vain for the marker; heard %+v", claims)
		}
	}
}

func TestWatchClaims(t *testing.T) {
	arpByOther := mustAnnounce(t, macOther, vip4)
	tagged := slices.Concat(arpByOther[0][:12], []byte{0x81, 0, 0, 7}, arpByOther[0][12:])
	probe, err := question(macOther, netip.IPv6Unspecified(), vip4)
	if err != nil {
		t.Fatal(err)
	}
	claim4 := Claim{Interface: "eth0", Addr: vip4, MAC: macOther}
	rows := []struct {
		name   string
		frames [][]byte
		want   []Claim
	}{
		{"ARP request and reply by another MAC", arpByOther, []Claim{claim4, claim4}},
		{"own ARP, sent back by the network", mustAnnounce(t, macA, vip4), nil},
		{"an address that is not watched", mustAnnounce(t, macOther, netip.MustParseAddr("192.0.2.77")), nil},
		{"ARP probe claims nothing", [][]byte{probe}, nil},
		{"frame of a VLAN is of another segment", [][]byte{tagged}, nil},
		{"frame cut short", [][]byte{arpByOther[0][:30]}, nil},
	}
	node, peer := newSegment(t)
	heard, send := node.claims(), peer.sender()
	awaitListening(t, heard, send)
	for _, row := range rows {
		if diff := cmp.Diff(row.want, claimed(t, heard, send, row.frames...), comparePrefixes); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.name, diff)
		}
	}
}

func TestWatchClaimsOfIPv6(t *testing.T) {
	node, peer := newSegment(t)
	mustHold(t, node.holder(), 0)
	heard, send := node.claims(), peer.sender()
	awaitListening(t, heard, send)

	send(mustAnnounce(t, macA, vip6)...) // its own; the next would come behind it
	send(mustAnnounce(t, macOther, vip6)...)
	if diff := cmp.Diff(Claim{Interface: "eth0", Addr: vip6, MAC: macOther}, next(t, heard), comparePrefixes); diff != "" {
		t.Errorf("advertisement by another MAC (-want +got):\n%s", diff)
	}

	told := peer.watch()
	peer.sysctl("net/ipv6/conf/eth0/accept_dad", "1")
	peer.ip("addr", "add", "2001:db8::10/64", "dev", "eth0")
	if diff := cmp.Diff(Claim{Interface: "eth0", Addr: vip6, MAC: macB, Tentative: true}, next(t, heard), comparePrefixes); diff != "" {
		t.Errorf("duplicate address detection (-want +got):\n%s", diff)
	}
	told.until("the kernel to have defended the VIP", changed("eth0", func(i Interface) bool {
		return has(i, func(a Address) bool { return a.Prefix.Addr() == vip6 && a.DADFailed })
	}))
}

func next(t *testing.T, heard <-chan Claim) Claim {
	t.Helper()
	select {
	case c := <-heard:
		return c
	case <-time.After(patience):
		t.Fatal("no claim heard")
	}
	panic("unreachable")
}

func TestWatchClaimsFollowsTheInterface(t *testing.T) {
	node, peer := newSegment(t)
	heard := node.claims()
	awaitListening(t, heard, peer.sender())

	node.ip("link", "set", "eth0", "down")
	node.ip("link", "set", "eth0", "up")
	awaitListening(t, heard, peer.sender())

	node.ip("link", "del", "eth0")
	node.join(peer)
	awaitListening(t, heard, peer.sender())
}

func TestWatchClaimsWaitsForTheInterface(t *testing.T) {
	node, peer := newHost(t), newHost(t)
	heard := node.claims()
	node.join(peer)
	awaitListening(t, heard, peer.sender())
}
