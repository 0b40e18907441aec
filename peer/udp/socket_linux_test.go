package udp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/peer"
)

// openOn opens a socket on the host.
func openOn(t testing.TB, h *host, o Options) *Socket {
	t.Helper()
	var s *Socket
	h.do(t, func() (err error) {
		s, err = Open(o)
		return err
	})
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

// listen opens a socket that runs until the test ends.
func listen(t testing.TB, h *host, o Options) *Socket {
	t.Helper()
	s := openOn(t, h, o)
	start(t, s)
	return s
}

func start(t testing.TB, s *Socket) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		must(t, <-ended)
	})
}

// next waits for a hello.
func next(t testing.TB, s *Socket) peer.Datagram {
	t.Helper()
	var d peer.Datagram
	for deadline := time.After(patience); !s.Receive(&d); {
		select {
		case <-s.Ready():
		case <-deadline:
			t.Fatal("waited in vain for a hello")
		}
	}
	d.Payload = append([]byte(nil), d.Payload...)
	return d
}

func wantText(t testing.TB, s *Socket, want string) {
	t.Helper()
	if got := string(next(t, s).Payload); got != want {
		t.Errorf("received %q, want %q", got, want)
	}
}

func version(ipv6 bool) string {
	if ipv6 {
		return "IPv6"
	}
	return "IPv4"
}

func versions(t *testing.T, f func(t *testing.T, ipv6 bool)) {
	for _, v6 := range []bool{false, true} {
		t.Run(version(v6), func(t *testing.T) { f(t, v6) })
	}
}

var equateAddr = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

func TestMulticast(t *testing.T) {
	versions(t, func(t *testing.T, v6 bool) {
		hosts := newSegments(t, 3)
		o := Options{Interface: eth0, IPv6: v6}
		a, member, other := listen(t, hosts[0], o), listen(t, hosts[1], o), listen(t, hosts[2], o)
		src := hosts[0].addr(eth0, v6)
		// Another program of the third host is a member; that is not this socket's.
		neighbour := openOn(t, hosts[2], Options{Interface: eth0, IPv6: v6, Port: 19651})
		for _, s := range []*Socket{a, member, neighbour} {
			must(t, s.Multicast(true))
			must(t, s.Multicast(true))
		}
		must(t, a.Send(src, peer.Group(v6), []byte("to the group")))
		want := peer.Datagram{Src: src, Interface: eth0, HopLimit: peer.HopLimit, Payload: []byte("to the group")}
		if diff := cmp.Diff(want, next(t, member), equateAddr); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		// Neither the sender nor who is no member has heard it: what they hear
		// first comes later.
		must(t, member.Send(hosts[1].addr(eth0, v6), hosts[2].addr(eth0, v6), []byte("to you")))
		wantText(t, other, "to you")
		must(t, member.Send(hosts[1].addr(eth0, v6), src, []byte("back")))
		wantText(t, a, "back")

		must(t, member.Multicast(false))
		must(t, a.Send(src, peer.Group(v6), []byte("to nobody")))
		must(t, a.Send(src, hosts[1].addr(eth0, v6), []byte("to you")))
		wantText(t, member, "to you")
	})
}

func TestUnicast(t *testing.T) {
	versions(t, func(t *testing.T, v6 bool) {
		hosts := newSegments(t, 2)
		o := Options{Interface: eth0, IPv6: v6, Port: 19651}
		a, b := listen(t, hosts[0], o), listen(t, hosts[1], o)
		src := hosts[0].addr(eth0, v6)
		must(t, a.Send(src, hosts[1].addr(eth0, v6), []byte("to you")))
		want := peer.Datagram{Src: src, Interface: eth0, HopLimit: peer.HopLimit, Payload: []byte("to you")}
		if diff := cmp.Diff(want, next(t, b), equateAddr); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}

// A hello goes from the wire into a table of peers; one that came through a
// router, as its hop limit tells, does not.
func TestHopLimitReachesTheTable(t *testing.T) {
	versions(t, func(t *testing.T, v6 bool) {
		hosts := newSegments(t, 2)
		alice, bob := hosts[0], hosts[1]
		src, dst := alice.addr(eth0, v6), bob.addr(eth0, v6)
		in := listen(t, bob, Options{Interface: eth0, IPv6: v6})
		table := peer.NewTable(peer.Self{Name: "bob", Boot: peer.Boot{1}}, nil)
		table.Watch([]peer.Segment{{Interface: eth0, Listed: []netip.Addr{src}}})
		var datagram []byte
		hello := peer.Hello{ID: peer.IDOf("alice"), Name: "alice", Boot: peer.Boot{2}}
		peer.NewSender(nil).Each(&hello, src, func(b []byte) { datagram = append([]byte(nil), b...) })

		out := openOn(t, alice, Options{Interface: eth0, IPv6: v6})
		for limit, want := range map[int]error{64: peer.ErrHopLimit, 254: peer.ErrHopLimit, 255: nil} {
			must(t, setHopLimit(out, limit))
			must(t, out.Send(src, dst, datagram))
			d := next(t, in)
			if _, err := table.Received(time.Now(), &d); !errors.Is(err, want) || int(d.HopLimit) != limit {
				t.Errorf("hop limit %d for %d: error %v, want %v", d.HopLimit, limit, err, want)
			}
		}
	})
}

// setHopLimit makes the socket send as any program could.
func setHopLimit(s *Socket, limit int) error {
	return onSocket(s.raw, func(fd int) error {
		if s.ipv6 {
			return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, limit)
		}
		return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TTL, limit)
	})
}

// What arrives on one interface is not heard on another, whatever it is sent to.
func TestOtherInterface(t *testing.T) {
	versions(t, func(t *testing.T, v6 bool) {
		hosts := newSegments(t, 2)
		alice, bob := hosts[0], hosts[1]
		out := openOn(t, alice, Options{Interface: eth1, IPv6: v6})
		right := listen(t, bob, Options{Interface: eth0, IPv6: v6})
		wrong := listen(t, bob, Options{Interface: eth1, IPv6: v6})
		must(t, right.Multicast(true))
		must(t, wrong.Multicast(true))
		src := alice.addr(eth1, v6)

		must(t, out.Send(src, peer.Group(v6), []byte("to the group")))
		wantText(t, wrong, "to the group")
		must(t, out.Send(src, bob.addr(eth1, v6), []byte("to you")))
		wantText(t, wrong, "to you")
		if !v6 {
			// An IPv4 host takes what is for its address on any interface
			// (RFC 1122 3.3.4.2, the weak model).
			alice.run(t, "ip", "route", "add", bob.addr(eth0, false).String()+"/32", "dev", eth1)
			must(t, out.Send(src, bob.addr(eth0, false), []byte("to your other address")))
			wantText(t, wrong, "to your other address")
		}
		must(t, openOn(t, alice, Options{Interface: eth0, IPv6: v6}).Send(alice.addr(eth0, v6), bob.addr(eth0, v6), []byte("on the right one")))
		wantText(t, right, "on the right one")
	})
}

// While the loop does not come, the queue and the kernel's fill up and the rest
// is dropped; then hellos are heard again.
func TestFlood(t *testing.T) {
	const flood = 20000
	hosts := newSegments(t, 2)
	alice, bob := hosts[0], hosts[1]
	out, in := openOn(t, alice, Options{Interface: eth0}), listen(t, bob, Options{Interface: eth0})
	src, dst := alice.addr(eth0, false), bob.addr(eth0, false)
	stray := make([]byte, peer.MaxSize)
	for range flood {
		if err := out.Send(src, dst, stray); err != nil && !errors.Is(err, syscall.EAGAIN) {
			t.Fatal(err)
		}
	}
	if n := len(in.full); n > places {
		t.Errorf("%d hellos wait", n)
	}
	// The kernel's queue is full, so what is sent now gets lost until Run has
	// made room.
	heard := 0
	resend := time.NewTicker(10 * time.Millisecond)
	defer resend.Stop()
	deadline := time.After(patience)
	for marked := false; !marked; {
		var d peer.Datagram
		for in.Receive(&d) {
			heard++
			marked = marked || string(d.Payload) == "a hello"
		}
		select {
		case <-in.Ready():
		case <-resend.C:
			must(t, out.Send(src, dst, []byte("a hello")))
		case <-deadline:
			t.Fatal("waited in vain for a hello")
		}
	}
	if heard > flood/2 {
		t.Errorf("%d of %d were kept", heard, flood)
	}
	if c := in.Counters(); c.Overflowed == 0 {
		t.Error("the flood was not counted")
	}
}

func TestOversizedDatagramIsCountedAndSkipped(t *testing.T) {
	versions(t, func(t *testing.T, v6 bool) {
		hosts := newSegments(t, 2)
		o := Options{Interface: eth0, IPv6: v6}
		out, in := openOn(t, hosts[0], o), listen(t, hosts[1], o)
		src, dst := hosts[0].addr(eth0, v6), hosts[1].addr(eth0, v6)
		must(t, out.Send(src, dst, make([]byte, peer.MaxSize+1)))
		must(t, out.Send(src, dst, make([]byte, peer.MaxSize)))
		if n := len(next(t, in).Payload); n != peer.MaxSize {
			t.Errorf("received %d bytes", n)
		}
		if diff := cmp.Diff(Counters{Oversized: 1}, in.Counters()); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}

func TestPortIsShared(t *testing.T) {
	h := newSegments(t, 1)[0]
	for _, link := range []string{eth0, eth1} {
		for _, v6 := range []bool{false, true} {
			openOn(t, h, Options{Interface: link, IPv6: v6})
		}
	}
}

func TestPortIsTaken(t *testing.T) {
	versions(t, func(t *testing.T, v6 bool) {
		h := newSegments(t, 1)[0]
		h.do(t, func() error {
			taken, err := net.ListenPacket("udp", fmt.Sprintf(":%d", peer.Port))
			if err != nil {
				return err
			}
			defer taken.Close()
			_, err = Open(Options{Interface: eth0, IPv6: v6})
			if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "another program has UDP port 9651; `ss -lunp sport = 9651` names it") {
				t.Errorf("error %v", err)
			}
			return nil
		})
	})
}

func TestInterfaceThatDoesNotExist(t *testing.T) {
	h := newSegments(t, 1)[0]
	h.do(t, func() error {
		if _, err := Open(Options{Interface: "eth7"}); err == nil || !strings.HasPrefix(err.Error(), "open hello socket on eth7: ") {
			t.Errorf("error %v", err)
		}
		return nil
	})
}

func TestSendErrors(t *testing.T) {
	versions(t, func(t *testing.T, v6 bool) {
		h := newSegments(t, 1)[0]
		s := openOn(t, h, Options{Interface: eth0, IPv6: v6})
		own, stranger := h.addr(eth0, v6), (&host{number: 99}).addr(eth0, v6)
		notHere := syscall.ENETUNREACH
		if v6 {
			notHere = syscall.EINVAL
		}
		rows := []struct {
			name     string
			src, dst netip.Addr
			want     error
		}{
			{"source of another host", stranger, peer.Group(v6), notHere},
			{"source of the other IP version", h.addr(eth0, !v6), peer.Group(v6), errFamily},
			{"destination of the other IP version", own, peer.Group(!v6), errFamily},
			{"no destination", own, netip.Addr{}, errFamily},
		}
		for _, row := range rows {
			if err := s.Send(row.src, row.dst, []byte("x")); !errors.Is(err, row.want) {
				t.Errorf("%s: error %v, want %v", row.name, err, row.want)
			}
		}
		must(t, s.Close())
		must(t, s.Close())
		if err := s.Send(own, peer.Group(v6), []byte("x")); err == nil {
			t.Error("sent on a closed socket")
		}
		if err := s.Multicast(true); err == nil {
			t.Error("joined on a closed socket")
		}
	})
}

func TestInterfaceDeletedAndMadeAnew(t *testing.T) {
	versions(t, func(t *testing.T, v6 bool) {
		hosts := newSegments(t, 2)
		alice, bob := hosts[0], hosts[1]
		o := Options{Interface: eth0, IPv6: v6}
		a, b := listen(t, alice, o), listen(t, bob, o)
		must(t, bob.unplug(eth0))
		if err := b.Send(bob.addr(eth0, v6), peer.Group(v6), []byte("into the void")); err == nil {
			t.Error("sent on an interface that is gone")
		}
		must(t, bob.plug(eth0))
		bob.connected(t, eth0)
		// The old socket stays on the old interface, and is no obstacle.
		again := listen(t, bob, o)
		must(t, again.Multicast(true))
		must(t, a.Send(alice.addr(eth0, v6), peer.Group(v6), []byte("after")))
		wantText(t, again, "after")
	})
}

func TestRunEnds(t *testing.T) {
	rows := []struct {
		name string
		end  func(s *Socket, cancel func())
	}{
		{"with its context", func(_ *Socket, cancel func()) { cancel() }},
		{"with the socket", func(s *Socket, _ func()) { must(t, s.Close()) }},
	}
	states := []struct {
		name string
		fill int
	}{
		{"while it waits for hellos", 0},
		{"while all places are taken", places},
	}
	for _, row := range rows {
		for _, state := range states {
			t.Run(row.name+" "+state.name, func(t *testing.T) {
				h := newSegments(t, 1)[0]
				s := openOn(t, h, Options{Interface: eth0})
				for range state.fill {
					<-s.empty
				}
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				ended := make(chan error, 1)
				go func() { ended <- s.Run(ctx) }()
				row.end(s, cancel)
				select {
				case err := <-ended:
					must(t, err)
				case <-time.After(patience):
					t.Fatal("goes on")
				}
			})
		}
	}
}

// The rule of docs/peers.md opens a host that drops all else.
func TestFirewall(t *testing.T) {
	versions(t, func(t *testing.T, v6 bool) {
		hosts := newSegments(t, 2)
		alice, bob := hosts[0], hosts[1]
		o := Options{Interface: eth0, IPv6: v6}
		out, in := openOn(t, alice, o), listen(t, bob, o)
		must(t, in.Multicast(true))
		bob.run(t, "nft", "add table inet filter; add chain inet filter input { type filter hook input priority 0; policy drop; }")
		bob.run(t, "nft", "add rule inet filter input meta l4proto ipv6-icmp accept")
		src := alice.addr(eth0, v6)
		must(t, out.Send(src, peer.Group(v6), []byte("against the wall")))
		for _, rule := range firewallRules(t) {
			bob.run(t, "nft", rule)
		}
		must(t, out.Send(src, peer.Group(v6), []byte("through the door")))
		wantText(t, in, "through the door")
		must(t, out.Send(src, bob.addr(eth0, v6), []byte("and to you")))
		wantText(t, in, "and to you")
	})
}

func TestNothingIsAllocatedForAHello(t *testing.T) {
	versions(t, func(t *testing.T, v6 bool) {
		const runs = 50
		hosts := newSegments(t, 2)
		o := Options{Interface: eth0, IPv6: v6}
		out, in := openOn(t, hosts[0], o), listen(t, hosts[1], o)
		src, dst := hosts[0].addr(eth0, v6), hosts[1].addr(eth0, v6)
		payload := make([]byte, 400)
		var d peer.Datagram
		if n := testing.AllocsPerRun(runs, func() {
			must(t, out.Send(src, dst, payload))
			for !in.Receive(&d) {
				<-in.Ready()
			}
		}); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}
