package udp

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
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
	s := opened(t)
	s.run(t)
	return s
}

// opened is an engine that does not run yet.
func opened(t testing.TB) *side {
	t.Helper()
	s := &side{told: make(chan Status, 1024)}
	var err error
	if s.Engine, err = Open(slog.New(slog.DiscardHandler), func(_ bfd.Path, now Status) { s.told <- now }); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *side) run(t testing.TB) {
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
}

// await waits until a state is told.
func (s *side) await(t testing.TB, want bfd.State) Status {
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
	if !errors.Is(s.Err, syscall.EADDRINUSE) || !errors.Is(s.Err, errInUse) {
		t.Errorf("told: %v", s.Err)
	}
}

// FRR's bfdd has the port on all addresses, and so has BIRD as it comes.
func TestAPortThatIsTakenOnAllAddressesIsTheSameError(t *testing.T) {
	for name, every := range map[string]netip.Addr{"IPv4": netip.IPv4Unspecified(), "IPv6": netip.IPv6Unspecified()} {
		t.Run(name, func(t *testing.T) {
			here := netip.MustParseAddr("127.0.0.1")
			if every.Is6() {
				here = netip.IPv6Loopback()
			}
			err := alone(t, func() error {
				other, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(every, singleHop)))
				if err != nil {
					return err
				}
				defer other.Close()
				_, err = openInlet(here, false)
				return err
			})
			if !errors.Is(err, errInUse) {
				t.Errorf("told: %v", err)
			}
		})
	}
}

// alone runs do in a network namespace of its own, which has lo only and ends with
// the thread.
func alone(t *testing.T, do func() error) error {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a network namespace needs root")
	}
	ended := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread is of no use to others
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			err = raise("lo")
		}
		if err == nil {
			err = do()
		}
		ended <- err
	}()
	return <-ended
}

// raise sets an interface up (netdevice(7)).
func raise(name string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }() // nothing was sent
	request, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
}

func TestPacketsOverARouter(t *testing.T) {
	rows := []struct {
		name    string
		multi   bool
		port    uint16
		refused uint64
	}{
		{"RFC 5881 5: refused and counted on a single hop", false, singleHop, 1},
		{"RFC 5883: taken on multihop", true, multihop, 0},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			e := running(t)
			here, there := loopback(), loopback()
			e.Configure(peerOf(here, there, row.multi))
			s := dial(t, netip.AddrPortFrom(there, 0), netip.AddrPortFrom(here, row.port))
			s.send(t, 254)
			s.send(t, 255)
			e.await(t, bfd.Init)
			if n := e.Refused(); n != row.refused {
				t.Errorf("%d packets were refused", n)
			}
		})
	}
}

// stranger is a socket that sends a neighbour's packets.
type stranger struct{ fd int }

func dial(t testing.TB, from, to netip.AddrPort) stranger {
	t.Helper()
	fd, err := open(from.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := errors.Join(unix.Bind(fd, sockaddr(from.Addr(), from.Port())), unix.Connect(fd, sockaddr(to.Addr(), to.Port()))); err != nil {
		t.Fatal(err)
	}
	return stranger{fd}
}

func (s stranger) send(t testing.TB, ttl int) {
	t.Helper()
	if err := unix.SetsockoptInt(s.fd, unix.IPPROTO_IP, unix.IP_TTL, ttl); err != nil {
		t.Fatal(err)
	}
	p := bfd.Packet{State: bfd.Down, Multiplier: 3, Mine: 7, Transmit: time.Second, Receive: time.Second}
	if _, err := unix.Write(s.fd, p.Append(nil)); err != nil {
		t.Fatal(err)
	}
}

// endless is a socket that is flooded.
type endless struct{ read int }

func (e *endless) receive() ([]byte, netip.Addr, int, bool) {
	e.read++
	return nil, loopback(), farthest, true
}

func TestAFloodDoesNotKeepTimersWaiting(t *testing.T) {
	e := opened(t)
	flood := &endless{}
	e.receive(flood, loopback(), false)
	if flood.read != burst || e.Refused() != burst {
		t.Errorf("%d packets read in a turn, %d refused", flood.read, e.Refused())
	}
}

// What a turn leaves in a queue would be taken for silence.
func TestATurnReadsAllThatAQueueHolds(t *testing.T) {
	e := opened(t)
	here, there := loopback(), loopback()
	e.arrange(peerOf(here, there, false))
	s := dial(t, netip.AddrPortFrom(there, 0), netip.AddrPortFrom(here, singleHop))
	for range 2 * burst { // more than fit
		s.send(t, 254)
	}
	e.receive(e.inlets[0], here, false)
	if _, _, _, more := e.inlets[0].receive(); more {
		t.Errorf("more than the %d packets that were read had arrived", e.Refused())
	}
}

func TestAKernelThatRefusesToWaitIsToldAndOvercome(t *testing.T) {
	a, b := opened(t), running(t)
	refusals := 0
	a.poll = func(fds []unix.PollFd, timeout *unix.Timespec) error {
		if len(a.peers) > 0 && refusals == 0 {
			refusals++
			return unix.ENOMEM
		}
		return ppoll(fds, timeout)
	}
	a.run(t)
	here, there := loopback(), loopback()
	b.Configure(peerOf(there, here, false))
	a.Configure(peerOf(here, there, false))
	for a.await(t, bfd.Down).Err == nil { // it is told that it begins, too
	}
	a.Configure(peerOf(here, there, false))
	a.await(t, bfd.Up)
	b.await(t, bfd.Up)
}

func TestASessionFromAnotherAddressIsAnotherOne(t *testing.T) {
	a, b := running(t), running(t)
	here, there := loopback(), loopback()
	b.Configure(peerOf(there, here, false))
	a.Configure(peerOf(here, there, false))
	a.await(t, bfd.Up)
	a.Configure(peerOf(loopback(), there, false)) // whom the neighbour does not know
	for _, want := range []bfd.State{bfd.AdminDown, bfd.Down} {
		if now := <-a.told; now.State != want {
			t.Errorf("told that it is %s, not %s", now.State, want)
		}
	}
}

// RFC 5880 6.8.16: for a detection time.
func TestAnEndIsSaidUntilTheNeighbourWouldFindOut(t *testing.T) {
	a, b := running(t), running(t)
	here, there := loopback(), loopback()
	a.Configure(peerOf(here, there, false))
	b.Configure(peerOf(there, here, false))
	b.await(t, bfd.Up)
	a.await(t, bfd.Up)
	a.Configure(nil)
	a.await(t, bfd.AdminDown)
	leaving := func() (n int) {
		a.do(func() { n = len(a.leaving) })
		return n
	}
	if n := leaving(); n != 1 {
		t.Errorf("%d sessions say that they end", n)
	}
	for leaving() > 0 { // until the test is ended for it
		time.Sleep(time.Millisecond)
	}
	b.await(t, bfd.Down)
}

func TestPacketsOverUDPAllocateNothing(t *testing.T) {
	e := opened(t)
	here, there := loopback(), loopback()
	e.arrange(peerOf(here, there, false))
	p := e.peers[peerOf(here, there, false)[0].Path]
	p.entry.Reconfigure(time.Now(), bfd.Config{Transmit: time.Microsecond, Receive: time.Microsecond, Multiplier: 255})
	s := dial(t, netip.AddrPortFrom(there, firstSource), netip.AddrPortFrom(here, singleHop))
	if err := unix.SetsockoptInt(s.fd, unix.IPPROTO_IP, unix.IP_TTL, farthest); err != nil {
		t.Fatal(err)
	}
	packet := bfd.Packet{State: bfd.Init, Multiplier: 255, Mine: 7, Yours: p.entry.Mine(), Transmit: time.Second, Receive: time.Microsecond}
	word := packet.Append(nil)
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := unix.Write(s.fd, word); err != nil && !errors.Is(err, unix.ECONNREFUSED) {
			t.Fatal(err)
		}
		e.turn(t.Context())
	}); n > 0 {
		t.Errorf("%v allocations a turn", n)
	}
	if p.entry.State() != bfd.Up || e.Refused() > 0 {
		t.Errorf("%s, %d packets refused", p.entry.State(), e.Refused())
	}
}

// BenchmarkHundredSessions shows what the thread of a hundred sessions costs,
// each of which sends and receives a packet in 50 ms.
func BenchmarkHundredSessions(b *testing.B) {
	const sessions = 100
	ends := [2]*side{opened(b), opened(b)}
	var peers [2][]Peer
	hub := loopback()
	for range sessions {
		spoke := loopback()
		for i, path := range []bfd.Path{{Source: hub, Remote: spoke}, {Source: spoke, Remote: hub}} {
			peers[i] = append(peers[i], Peer{path, bfd.Config{Transmit: 50 * time.Millisecond, Receive: 50 * time.Millisecond, Multiplier: 3}})
		}
	}
	for i, e := range ends {
		e.run(b)
		e.Configure(peers[i])
	}
	for range sessions {
		ends[0].await(b, bfd.Up)
	}
	began := ends[0].processorTime(b)
	for b.Loop() {
		time.Sleep(time.Second)
	}
	spent := ends[0].processorTime(b) - began
	b.ReportMetric(100*spent.Seconds()/b.Elapsed().Seconds(), "%CPU")
	b.ReportMetric(float64(max(ends[0].Lateness(), ends[1].Lateness()).Microseconds())/1e3, "ms-late")
	for len(ends[0].told) > 0 {
		if s := <-ends[0].told; s.State == bfd.Down {
			b.Fatalf("a session was lost: %s", s.Diagnostic)
		}
	}
}

// processorTime is that of the engine's thread.
func (s *side) processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	var err error
	s.do(func() { err = unix.Getrusage(unix.RUSAGE_THREAD, &u) })
	if err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// do has the engine's thread do something.
func (s *side) do(what func()) {
	done := make(chan struct{})
	s.orders <- func() { what(); close(done) }
	s.rouse()
	<-done
}
