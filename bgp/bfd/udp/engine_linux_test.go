package udp

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/bgp/bfd"
)

// side is an engine that runs, with what it told.
type side struct {
	*Engine
	told chan Status
	end  func()
}

func running(t *testing.T) *side {
	t.Helper()
	s := &side{told: make(chan Status, 64)}
	var err error
	if s.Engine, err = Open(func(_ bfd.Path, now Status) { s.told <- now }); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stopped := false
	s.end = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(s.end)
	return s
}

// await waits until a state is told.
func (s *side) await(t *testing.T, want bfd.State) Status {
	t.Helper()
	for {
		select {
		case now := <-s.told:
			if now.State == want {
				return now
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("it did not come to be %s", want)
		}
	}
}

// loopback is an address that nothing else on this machine uses.
func loopback() netip.Addr {
	return netip.AddrFrom4([4]byte{127, byte(1 + rand.IntN(254)), byte(rand.IntN(256)), byte(1 + rand.IntN(254))})
}

func peerOf(source, remote netip.Addr, multihop bool) []Peer {
	return []Peer{{
		Path:   bfd.Path{Source: source, Remote: remote, Multihop: multihop},
		Config: bfd.Config{Transmit: 20 * time.Millisecond, Receive: 20 * time.Millisecond, Multiplier: 20},
	}}
}

func TestSessionsOverUDP(t *testing.T) {
	for name, multihop := range map[string]bool{"single hop": false, "multihop": true} {
		t.Run(name, func(t *testing.T) {
			a, b := running(t), running(t)
			here, there := loopback(), loopback()
			a.Configure(peerOf(here, there, multihop))
			b.Configure(peerOf(there, here, multihop))
			a.await(t, bfd.Up)
			b.await(t, bfd.Up)
			t.Run("the end of one is told to the other", func(t *testing.T) {
				a.Configure(nil)
				if s := b.await(t, bfd.Down); s.Diagnostic != bfd.NeighborSignaledDown {
					t.Errorf("down by %s", s.Diagnostic)
				}
			})
			t.Run("and it comes again", func(t *testing.T) {
				a.Configure(peerOf(here, there, multihop))
				a.await(t, bfd.Up)
				b.await(t, bfd.Up)
			})
			t.Run("the end of the engine is told too", func(t *testing.T) {
				a.end()
				b.await(t, bfd.Down)
			})
		})
	}
}

func TestAPortThatIsTakenIsAClearError(t *testing.T) {
	here := loopback()
	other, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(here, singleHop)))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	e := running(t)
	e.Configure(peerOf(here, loopback(), false))
	s := e.await(t, bfd.Down)
	if !errors.Is(s.Err, syscall.EADDRINUSE) || !strings.Contains(s.Err.Error(), "bgp.local_address") {
		t.Errorf("told: %v", s.Err)
	}
}

func TestPacketsOverARouterAreRefusedOnASingleHop(t *testing.T) {
	e := running(t)
	here, there := loopback(), loopback()
	e.Configure(peerOf(here, there, false))
	conn, err := net.DialUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(there, 0)), net.UDPAddrFromAddrPort(netip.AddrPortFrom(here, singleHop)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	send := func(ttl int) {
		if err := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TTL, ttl) }); err != nil {
			t.Fatal(err)
		}
		p := bfd.Packet{State: bfd.Down, Multiplier: 3, Mine: 7, Transmit: time.Second, Receive: time.Second}
		if _, err := conn.Write(p.Append(nil)); err != nil {
			t.Fatal(err)
		}
	}
	send(254)
	send(255)
	e.await(t, bfd.Init) // by the second one
	if n := e.Refused(); n != 1 {
		t.Errorf("%d packets were refused", n)
	}
}
