package udp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/bgp/bfd"
)

// farewells is how many packets tell a neighbour that its session ends: one may
// be lost.
const farewells = 3

// Peer is a neighbour to be watched.
type Peer struct {
	Path   bfd.Path
	Config bfd.Config
}

// Status is the state of one session.
type Status struct {
	State, Remote bfd.State
	Diagnostic    bfd.Diagnostic
	// Err is why there is no session.
	Err error
}

// Engine runs BFD sessions. Configure, Lateness and Refused are for any
// goroutine.
type Engine struct {
	// wake is an eventfd (eventfd(2)): there is an order. As a file it may be
	// roused after it was closed.
	wake   *os.File
	wakeFD int32
	orders chan func()
	ended  chan struct{}

	// What follows belongs to Run.

	table   *bfd.Table
	inlets  []*inlet
	peers   map[bfd.Path]*peer
	changed func(bfd.Path, Status)
	polled  []unix.PollFd
	buffer  []byte

	lateness atomic.Int64
	refused  atomic.Uint64
}

// peer is a session with its socket.
type peer struct {
	entry *bfd.Entry
	out   sender
	inlet *inlet
}

// Open returns an engine without sessions. changed is called by Run for each
// session whose state changed, and for each that could not be begun; it must not
// wait.
func Open(changed func(bfd.Path, Status)) (*Engine, error) {
	wake, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("open BFD: %w", os.NewSyscallError("eventfd", err))
	}
	e := &Engine{
		wake: os.NewFile(uintptr(wake), "eventfd"), wakeFD: int32(wake), //nolint:gosec // a file descriptor
		orders: make(chan func(), 16), ended: make(chan struct{}),
		peers: map[bfd.Path]*peer{}, changed: changed, buffer: make([]byte, 0, bfd.PacketSize),
	}
	e.table = bfd.NewTable(rand.Uint64(), e.send, e.tell) //nolint:gosec // discriminators are no secret
	return e, nil
}

// Run carries the sessions until ctx ends, then tells each neighbour that its
// session ends, and closes all sockets. Call it once.
func (e *Engine) Run(ctx context.Context) error {
	defer close(e.ended)
	// A thread of its own: it sleeps in the kernel, not in Go's scheduler.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	stop := context.AfterFunc(ctx, e.rouse)
	defer stop()
	e.gather()
	for ctx.Err() == nil {
		if err := e.wait(); err != nil {
			return errors.Join(err, e.close())
		}
		e.obey()
		e.receive()
		now := time.Now()
		if d := e.table.Next(); !d.IsZero() {
			e.late(now.Sub(d))
		}
		e.table.Run(now)
	}
	return e.close()
}

// Configure brings the sessions to the given ones. Those that stay go on. A
// session that goes says so first (RFC 5880 6.8.16). It waits for Run.
func (e *Engine) Configure(peers []Peer) {
	done := make(chan struct{})
	select {
	case e.orders <- func() { e.arrange(peers); close(done) }:
	case <-e.ended:
		return
	}
	e.rouse()
	select {
	case <-done:
	case <-e.ended:
	}
}

// Lateness is by how much a deadline was missed at the most since it was asked
// for last.
func (e *Engine) Lateness() time.Duration { return time.Duration(e.lateness.Swap(0)) }

// Refused counts packets that were not taken.
func (e *Engine) Refused() uint64 { return e.refused.Load() }

func (e *Engine) rouse() {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	_, _ = e.wake.Write(one[:]) // it fails only when it is closed
}

// wait waits until a socket has a packet, there is an order, or a deadline.
func (e *Engine) wait() error {
	var timeout *unix.Timespec
	if d := e.table.Next(); !d.IsZero() {
		t := unix.NsecToTimespec(max(0, int64(time.Until(d))))
		timeout = &t
	}
	_, err := unix.Ppoll(e.polled, timeout, nil)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("wait for BFD packets: %w", os.NewSyscallError("ppoll", err))
	}
	return nil
}

// obey does what Configure ordered.
func (e *Engine) obey() {
	if e.polled[0].Revents == 0 {
		return
	}
	var count [8]byte
	_, _ = e.wake.Read(count[:]) // it is readable, and nobody else reads
	for {
		select {
		case do := <-e.orders:
			do()
		default:
			return
		}
	}
}

// receive empties all sockets, whether or not they were told to be readable:
// something may have come since.
func (e *Engine) receive() {
	for _, i := range e.inlets {
		for b, from, ttl, ok := i.receive(); ok; b, from, ttl, ok = i.receive() {
			if !i.multi && ttl != farthest {
				e.refused.Add(1)
				continue
			}
			path := bfd.Path{Source: i.local, Remote: from, Multihop: i.multi}
			if err := e.table.Receive(time.Now(), path, b); err != nil {
				e.refused.Add(1)
			}
		}
	}
}

func (e *Engine) late(by time.Duration) {
	if by > 0 && int64(by) > e.lateness.Load() {
		e.lateness.Store(int64(by))
	}
}

func (e *Engine) send(entry *bfd.Entry, p *bfd.Packet) {
	e.buffer = p.Append(e.buffer[:0])
	e.peers[entry.Path].out.send(e.buffer)
}

func (e *Engine) tell(entry *bfd.Entry) {
	e.changed(entry.Path, Status{State: entry.State(), Remote: entry.RemoteState(), Diagnostic: entry.Diagnostic()})
}

func (e *Engine) arrange(wanted []Peer) {
	keep := map[bfd.Path]bool{}
	for _, w := range wanted {
		keep[w.Path] = true
	}
	for path, p := range e.peers {
		if !keep[path] {
			e.end(path, p)
		}
	}
	now := time.Now()
	for _, w := range wanted {
		if p := e.peers[w.Path]; p != nil {
			p.entry.Reconfigure(now, w.Config)
			e.table.Settle(p.entry)
			continue
		}
		if err := e.begin(now, w); err != nil {
			e.changed(w.Path, Status{State: bfd.Down, Err: err})
		}
	}
	e.gather()
}

func (e *Engine) begin(now time.Time, w Peer) error {
	in, err := e.inlet(w.Path)
	if err != nil {
		return err
	}
	out, err := openSender(w.Path)
	if err != nil {
		e.leave(in)
		return fmt.Errorf("watch %s by BFD: %w", w.Path.Remote, err)
	}
	e.peers[w.Path] = &peer{entry: e.table.Add(now, w.Path, w.Config), out: out, inlet: in}
	return nil
}

// end ends a session, which says so before it goes.
func (e *Engine) end(path bfd.Path, p *peer) {
	now := time.Now()
	p.entry.Stop(now)
	for range farewells {
		var last bfd.Packet
		p.entry.Packet(now, &last)
		e.send(p.entry, &last)
	}
	e.table.Remove(p.entry)
	delete(e.peers, path)
	_ = unix.Close(p.out.fd) // nothing can be done about it
	e.leave(p.inlet)
}

// inlet is the socket for a path, a new one if there is none.
func (e *Engine) inlet(p bfd.Path) (*inlet, error) {
	for _, i := range e.inlets {
		if i.local == p.Source && i.multi == p.Multihop {
			i.users++
			return i, nil
		}
	}
	i, err := openInlet(p.Source, p.Multihop)
	if err != nil {
		return nil, err
	}
	i.users = 1
	e.inlets = append(e.inlets, i)
	return i, nil
}

// leave closes a socket that nobody uses any more.
func (e *Engine) leave(i *inlet) {
	if i.users--; i.users > 0 {
		return
	}
	for at, other := range e.inlets {
		if other == i {
			e.inlets = append(e.inlets[:at], e.inlets[at+1:]...)
			break
		}
	}
	_ = unix.Close(i.fd) // nothing can be done about it
}

// gather lists what wait waits for; the first one is wake.
func (e *Engine) gather() {
	e.polled = append(e.polled[:0], unix.PollFd{Fd: e.wakeFD, Events: unix.POLLIN})
	for _, i := range e.inlets {
		e.polled = append(e.polled, unix.PollFd{Fd: int32(i.fd), Events: unix.POLLIN}) //nolint:gosec // a file descriptor
	}
}

func (e *Engine) close() error {
	for path, p := range e.peers {
		e.end(path, p)
	}
	return e.wake.Close()
}

// LocalAddress is the address from which a neighbour is reached. Nothing is sent
// to find out.
func LocalAddress(remote netip.Addr) (netip.Addr, error) {
	fd, err := open(remote)
	if err != nil {
		return netip.Addr{}, err
	}
	defer func() { _ = unix.Close(fd) }() // nothing was sent
	if err := unix.Connect(fd, sockaddr(remote, singleHop)); err != nil {
		return netip.Addr{}, fmt.Errorf("find the way to %s: %w", remote, err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return netip.Addr{}, os.NewSyscallError("getsockname", err)
	}
	switch a := name.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrFrom4(a.Addr), nil
	case *unix.SockaddrInet6:
		return netip.AddrFrom16(a.Addr), nil
	}
	return netip.Addr{}, fmt.Errorf("find the way to %s: the kernel gave no address", remote)
}
