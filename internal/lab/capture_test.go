package lab_test

import (
	"fmt"
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/labtest"
)

func TestCaptureFindsBadFrames(t *testing.T) {
	l := labtest.New(t, lab.Options{Hosts: 2}, "tcpdump", "tshark", "ping")
	capture, err := l.Switch.Capture(labtest.Context(t, patience), "ip proto 112 or icmp6")
	if err != nil {
		t.Fatal(err)
	}
	// VRRPv3, VRID 51, priority 100, 10.77.0.100: without pseudo-header (RFC 9568), with it, and wrong.
	adverts := [][]byte{
		{0x31, 51, 100, 1, 0, 10, 0x59, 0x02, 10, 77, 0, 100},
		{0x31, 51, 100, 1, 0, 10, 0x6e, 0x31, 10, 77, 0, 100},
		{0x31, 51, 100, 1, 0, 10, 0xde, 0xad, 10, 77, 0, 100},
	}
	sum(adverts[0], nil)
	sum(adverts[1], pseudoHeader(l.Hosts[0].Addr4.AsSlice(), []byte{224, 0, 0, 18}, 112, 12))
	err = l.Hosts[0].Do(func() error {
		conn, err := net.ListenPacket("ip4:112", l.Hosts[0].Addr4.String())
		if err != nil {
			return err
		}
		defer conn.Close()
		for _, advert := range adverts {
			if _, err := conn.WriteTo(advert, &net.IPAddr{IP: net.IPv4(224, 0, 0, 18)}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := ping(t, l.Hosts[0], l.Hosts[1].Addr6.String()); err != nil {
		t.Fatal(err)
	}
	awaitFrames(t, capture, "vrrp", len(adverts))
	awaitFrames(t, capture, "icmpv6.type == 129", 1)
	if err := capture.Stop(); err != nil {
		t.Fatal(err)
	}
	bad, err := capture.Malformed(labtest.Context(t, patience), "vrrp", "icmpv6")
	if err != nil {
		t.Fatal(err)
	}
	third, err := capture.Frames(labtest.Context(t, patience), "vrrp.checksum == 0xdead")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(third, bad); diff != "" {
		t.Errorf("bad frames (-want the one with the wrong checksum +got):\n%s", diff)
	}
}

// awaitFrames waits until a running capture has n frames of a kind on disk.
func awaitFrames(t *testing.T, c *lab.Capture, display string, n int) {
	t.Helper()
	err := lab.Await(labtest.Context(t, patience), fmt.Sprintf("%d frames %s", n, display), func() error {
		frames, err := c.Frames(labtest.Context(t, patience), display)
		if err == nil && len(frames) < n {
			err = fmt.Errorf("%d so far", len(frames))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// sum fills in the checksum (RFC 1071) of a VRRP message, over a pseudo-header
// too when there is one.
func sum(advert, pseudo []byte) {
	advert[6], advert[7] = 0, 0
	var total uint32
	for _, part := range [][]byte{pseudo, advert} {
		for i := 0; i+1 < len(part); i += 2 {
			total += uint32(part[i])<<8 | uint32(part[i+1])
		}
	}
	for total > 0xffff {
		total = total>>16 + total&0xffff
	}
	advert[6], advert[7] = byte(^total>>8), byte(^total)
}

func pseudoHeader(src, dst []byte, protocol, length byte) []byte {
	return append(append(append([]byte(nil), src...), dst...), 0, protocol, 0, length)
}
