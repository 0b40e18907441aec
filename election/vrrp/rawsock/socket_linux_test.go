package rawsock

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/election/vrrp"
)

// openOn opens a socket on the host's interface, closed when the test ends.
func openOn(t testing.TB, h *host, ipv6 bool) *Socket {
	t.Helper()
	var s *Socket
	h.do(t, func() (err error) {
		s, err = Open(Options{Interface: eth0, IPv6: ipv6})
		return err
	})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// listen opens a socket that has joined the group, and runs it.
func listen(t testing.TB, h *host, ipv6 bool) *Socket {
	t.Helper()
	s := openOn(t, h, ipv6)
	must(t, s.Multicast(true))
	start(t, s)
	return s
}

// start runs s until it is closed, and checks that it then ends well.
func start(t testing.TB, s *Socket) {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- s.Run(context.Background()) }()
	t.Cleanup(func() {
		_ = s.Close()
		if err := await(t, "the end of Run", ended); err != nil {
			t.Error(err)
		}
	})
}

// await returns what comes out of c.
func await[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}

// next returns the next frame that s receives, as its own copy.
func next(t testing.TB, s *Socket) vrrp.Frame {
	t.Helper()
	var f vrrp.Frame
	for !s.Receive(&f) {
		must(t, s.Err())
		await(t, "a frame", s.Ready())
	}
	f.Payload = slices.Clone(f.Payload)
	return f
}

// empty fails the test if anything is queued.
func empty(t testing.TB, s *Socket) {
	t.Helper()
	var f vrrp.Frame
	if s.Receive(&f) {
		t.Fatalf("received %+v, want nothing", f)
	}
}

// version names an IP version in subtests.
func version(ipv6 bool) string {
	if ipv6 {
		return "IPv6"
	}
	return "IPv4"
}

func TestAdvertsArriveWhole(t *testing.T) {
	for _, tt := range []struct {
		name      string
		ipv6      bool
		multicast bool
		size      int
	}{
		{"IPv4 multicast, padded by Ethernet's minimum", false, true, 12},
		{"IPv4 unicast", false, false, 12},
		{"IPv4 multicast of 255 addresses", false, true, 8 + 255*4},
		{"IPv6 multicast", true, true, 24},
		{"IPv6 unicast", true, false, 24},
		{"IPv6 multicast that fills the MTU", true, true, 1500 - ipv6Header},
	} {
		t.Run(tt.name, func(t *testing.T) {
			hosts := newSegment(t, 2)
			alice, bob := hosts[0], hosts[1]
			out, in := openOn(t, alice, tt.ipv6), openOn(t, bob, tt.ipv6)
			start(t, in)
			dst := bob.addr(tt.ipv6)
			if tt.multicast {
				must(t, in.Multicast(true))
				dst = Group(tt.ipv6)
			}
			payload := make([]byte, tt.size)
			for i := range payload {
				payload[i] = byte(i)
			}
			must(t, out.Send(alice.addr(tt.ipv6), dst, payload))

			want := vrrp.Frame{Src: alice.addr(tt.ipv6), Dst: dst, MAC: alice.mac, TTL: 255, Payload: payload}
			if diff := cmp.Diff(want, next(t, in), compareAddrs); diff != "" {
				t.Errorf("frame (-sent +received):\n%s", diff)
			}
			empty(t, in)
			if diff := cmp.Diff(Counters{}, in.Counters()); diff != "" {
				t.Errorf("counters (-want +got):\n%s", diff)
			}
		})
	}
}

// The node's address may change, and one socket serves many virtual routers:
// source and destination are those of the call.
func TestEachSendHasItsOwnSourceAndDestination(t *testing.T) {
	hosts := newSegment(t, 2)
	alice, bob := hosts[0], hosts[1]
	second := netip.MustParseAddr("192.0.2.101")
	link, err := alice.kernel.LinkByName(eth0)
	must(t, err)
	must(t, alice.addAddress(link, second, 24))
	out, in := openOn(t, alice, false), listen(t, bob, false)

	type sent struct{ Src, Dst netip.Addr }
	for _, want := range []sent{
		{alice.ipv4(), Group(false)},
		{second, Group(false)},
		{second, bob.ipv4()},
		{alice.ipv4(), bob.ipv4()},
	} {
		must(t, out.Send(want.Src, want.Dst, []byte("advert")))
		got := next(t, in)
		if diff := cmp.Diff(want, sent{got.Src, got.Dst}, compareAddrs); diff != "" {
			t.Errorf("addresses (-sent +received):\n%s", diff)
		}
	}
}

func TestInputPolicyDropMakesNoNodeDeaf(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		t.Run(version(v6), func(t *testing.T) {
			hosts := newSegment(t, 2)
			alice, bob := hosts[0], hosts[1]
			bob.run(t, "nft", "add table inet guard; "+
				"add chain inet guard input { type filter hook input priority 0; policy drop; }")
			out, in := openOn(t, alice, v6), listen(t, bob, v6)
			must(t, out.Send(alice.addr(v6), Group(v6), []byte("advert")))
			if got := string(next(t, in).Payload); got != "advert" {
				t.Errorf("received %q", got)
			}
		})
	}
}

// A host's own queue discipline sends adverts before bulk traffic.
func TestAdvertsLeaveAsControlTraffic(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		t.Run(version(v6), func(t *testing.T) {
			hosts := newSegment(t, 2)
			alice, bob := hosts[0], hosts[1]
			alice.run(t, "nft", "add table inet guard; "+
				"add chain inet guard output { type filter hook output priority 0; }; "+
				"add rule inet guard output meta l4proto 112 meta priority != 0:7 drop")
			out, in := openOn(t, alice, v6), listen(t, bob, v6)
			must(t, out.Send(alice.addr(v6), Group(v6), []byte("advert")))
			if got := string(next(t, in).Payload); got != "advert" {
				t.Errorf("received %q", got)
			}
		})
	}
}

// What arrives is read from the packet socket only; a second copy must not pile
// up behind the socket that sends.
func TestSendingSocketQueuesNothing(t *testing.T) {
	for _, tt := range []struct {
		ipv6 bool
		file string
	}{
		{false, "/proc/thread-self/net/raw"},
		{true, "/proc/thread-self/net/raw6"},
	} {
		t.Run(version(tt.ipv6), func(t *testing.T) {
			hosts := newSegment(t, 2)
			alice, bob := hosts[0], hosts[1]
			out, in := openOn(t, alice, tt.ipv6), listen(t, bob, tt.ipv6)
			witness := listen(t, bob, tt.ipv6)
			const count = 20
			for range count {
				must(t, out.Send(alice.addr(tt.ipv6), Group(tt.ipv6), []byte("advert")))
			}
			for range count {
				next(t, in)
			}
			// The packet sockets are served before the IP stack; the turn of the
			// last advert is over when another one has been through.
			must(t, out.Send(alice.addr(tt.ipv6), bob.addr(tt.ipv6), []byte("marker")))
			for range count + 1 {
				next(t, witness)
			}
			var table []byte
			bob.do(t, func() (err error) {
				table, err = os.ReadFile(tt.file)
				return err
			})
			rows := strings.Split(strings.TrimSpace(string(table)), "\n")[1:]
			if len(rows) != 2 {
				t.Fatalf("%d raw sockets, want those of in and witness:\n%s", len(rows), table)
			}
			for _, row := range rows {
				// proc_net(5): the fifth column is tx_queue:rx_queue.
				if queues := strings.Fields(row)[4]; !strings.HasSuffix(queues, ":00000000") {
					t.Errorf("receive queue is not empty: %s", row)
				}
			}
		})
	}
}

func TestOwnAdvertsAreNotReceived(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		t.Run(version(v6), func(t *testing.T) {
			hosts := newSegment(t, 2)
			alice, bob := hosts[0], hosts[1]
			a, b := listen(t, alice, v6), listen(t, bob, v6)
			must(t, a.Send(alice.addr(v6), Group(v6), []byte("from alice")))
			next(t, b)
			must(t, b.Send(bob.addr(v6), Group(v6), []byte("from bob")))
			if got := string(next(t, a).Payload); got != "from bob" {
				t.Errorf("first frame received is %q, want the other host's", got)
			}
			empty(t, a)
		})
	}
}

func TestSendRefuses(t *testing.T) {
	hosts := newSegment(t, 1)
	alice := hosts[0]
	short := []byte("advert")
	for _, tt := range []struct {
		name     string
		ipv6     bool
		src, dst netip.Addr
		payload  []byte
		want     error
	}{
		{"an IPv4 source that is not on this node", false, netip.MustParseAddr("192.0.2.77"), Group(false), short, unix.ENETUNREACH},
		{"an IPv6 source that is not on this node", true, netip.MustParseAddr("fe80::77"), Group(true), short, unix.EINVAL},
		{"an IPv4 advert that would need fragments", false, alice.ipv4(), Group(false), make([]byte, 1481), unix.EMSGSIZE},
		{"an IPv6 advert that would need fragments", true, alice.ipv6(), Group(true), make([]byte, 1461), unix.EMSGSIZE},
		{"an IPv6 destination on an IPv4 socket", false, alice.ipv4(), Group(true), short, errFamily},
		{"an IPv6 source on an IPv4 socket", false, alice.ipv6(), Group(false), short, errFamily},
		{"an IPv4 destination on an IPv6 socket", true, alice.ipv6(), Group(false), short, errFamily},
		{"no source", true, netip.Addr{}, Group(true), short, errFamily},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := openOn(t, alice, tt.ipv6)
			if err := s.Send(tt.src, tt.dst, tt.payload); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			must(t, s.Send(alice.addr(tt.ipv6), Group(tt.ipv6), short)) // no harm done
		})
	}
}

func TestOpenRefusesAnInterfaceThatIsNotThere(t *testing.T) {
	alice := newSegment(t, 1)[0]
	alice.do(t, func() error {
		s, err := Open(Options{Interface: "absent0"})
		if err == nil {
			return errors.Join(errors.New("opened on an absent interface"), s.Close())
		}
		if !strings.Contains(err.Error(), "absent0") {
			return fmt.Errorf("error does not name the interface: %w", err)
		}
		return nil
	})
}

func TestMulticastJoinsAndLeaves(t *testing.T) {
	for _, tt := range []struct {
		ipv6        bool
		file, group string
	}{
		{false, "/proc/thread-self/net/igmp", "120000E0"},
		{true, "/proc/thread-self/net/igmp6", "ff020000000000000000000000000012"},
	} {
		t.Run(version(tt.ipv6), func(t *testing.T) {
			alice := newSegment(t, 1)[0]
			s := openOn(t, alice, tt.ipv6)
			for _, on := range []bool{false, true, true, false, false, true} {
				must(t, s.Multicast(on))
				var groups []byte
				alice.do(t, func() (err error) {
					groups, err = os.ReadFile(tt.file)
					return err
				})
				if got := strings.Contains(string(groups), tt.group); got != on {
					t.Fatalf("after Multicast(%t) membership is %t", on, got)
				}
			}
		})
	}
}

// After a freeze the loop finds everything that came meanwhile, in order, and
// then knows that there is no more.
func TestQueueIsDrainable(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		t.Run(version(v6), func(t *testing.T) {
			const count = 500
			hosts := newSegment(t, 2)
			alice, bob := hosts[0], hosts[1]
			out, in, witness := openOn(t, alice, v6), listen(t, bob, v6), listen(t, bob, v6)
			payload := make([]byte, 2)
			for i := range count {
				binary.BigEndian.PutUint16(payload, uint16(i))
				must(t, out.Send(alice.addr(v6), Group(v6), payload))
			}
			// A packet socket on the same host tells when the last has arrived:
			// the kernel shows a packet to both at once.
			for range count {
				next(t, witness)
			}

			var f vrrp.Frame
			var got []uint16
			for in.Receive(&f) {
				got = append(got, binary.BigEndian.Uint16(f.Payload))
			}
			var want []uint16
			for i := range count {
				want = append(want, uint16(i))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("drained (-sent +received):\n%s", diff)
			}
			empty(t, in)
			if got := in.Counters().Overflowed; got != 0 {
				t.Errorf("%d adverts overflowed", got)
			}
		})
	}
}

func TestOverflowIsCounted(t *testing.T) {
	hosts := newSegment(t, 2)
	alice, bob := hosts[0], hosts[1]
	out, in := openOn(t, alice, false), openOn(t, bob, false)
	const batch = 1000
	var sent uint64
	for in.Counters().Overflowed == 0 {
		for range batch {
			must(t, out.Send(alice.ipv4(), bob.ipv4(), []byte("advert")))
		}
		if sent += batch; sent > 1_000_000 {
			t.Fatal("a million adverts fit the queue")
		}
	}
}

func TestSendAndReceiveDoNotAllocate(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		t.Run(version(v6), func(t *testing.T) {
			hosts := newSegment(t, 2)
			alice, bob := hosts[0], hosts[1]
			out, in := openOn(t, alice, v6), listen(t, bob, v6)
			src, dst, payload := alice.addr(v6), Group(v6), []byte("advert")
			must(t, out.Send(src, dst, payload))
			next(t, in)

			const runs = 200
			if n := testing.AllocsPerRun(runs, func() { must(t, out.Send(src, dst, payload)) }); n != 0 {
				t.Errorf("Send allocates %v times", n)
			}
			for range runs / 2 { // what is left is plenty for the next count
				next(t, in)
			}
			var f vrrp.Frame
			received := 0
			if n := testing.AllocsPerRun(runs/2, func() {
				if in.Receive(&f) {
					received++
				}
			}); n != 0 {
				t.Errorf("Receive allocates %v times", n)
			}
			if received == 0 {
				t.Error("nothing was received while allocations were counted")
			}
			for in.Receive(&f) {
			}
			if n := testing.AllocsPerRun(runs, func() { in.Receive(&f) }); n != 0 {
				t.Errorf("Receive from an empty queue allocates %v times", n)
			}
		})
	}
}

// One advert through the whole of it: system call, cable, queue, system call.
func BenchmarkSendAndReceive(b *testing.B) {
	for _, v6 := range []bool{false, true} {
		b.Run(version(v6), func(b *testing.B) {
			hosts := newSegment(b, 2)
			alice, bob := hosts[0], hosts[1]
			out, in := openOn(b, alice, v6), openOn(b, bob, v6)
			must(b, in.Multicast(true))
			src, dst, payload := alice.addr(v6), Group(v6), make([]byte, 12)
			var f vrrp.Frame
			b.ReportAllocs()
			for b.Loop() {
				must(b, out.Send(src, dst, payload))
				in.Receive(&f)
			}
		})
	}
}
