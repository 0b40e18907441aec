package udp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/bgp/bfd"
)

const (
	// burst is how many packets of a socket are read in a turn at the most. All
	// that had arrived when the turn began are among them, see queueLimit, so
	// silence is judged rightly and a flood cannot keep the timers waiting.
	burst = 512
	// longestFarewell bounds how long the end of a session is said: the detection
	// time may be as long as the neighbour likes.
	longestFarewell = 30 * time.Second
	// lastWords bounds that for the end of Run, which nobody waits for longer.
	lastWords = time.Second
	// mourning is the pause after the kernel failed to wait for packets.
	mourning = time.Second
)

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

	table  *bfd.Table
	inlets []*inlet
	peers  map[bfd.Path]*peer
	// leaving are sessions that ended, while they say so.
	leaving map[bfd.Path]*peer
	changed func(bfd.Path, Status)
	log     *slog.Logger
	// poll is ppoll(2), or fails in its place in a test.
	poll   func([]unix.PollFd, *unix.Timespec) error
	polled []unix.PollFd
	// timeout and buffer are kept, so that a packet allocates nothing.
	timeout unix.Timespec
	buffer  []byte

	lateness atomic.Int64
	refused  atomic.Uint64
}

// peer is a session with its socket.
type peer struct {
	entry *bfd.Entry
	out   sender
	inlet *inlet
	// until is when one that is leaving has said so for long enough.
	until time.Time
}

// Open returns an engine without sessions. changed is called by Run for each
// session that begins, whose state changes, that ends (AdminDown), and for each
// that could not be begun; it must not wait.
func Open(log *slog.Logger, changed func(bfd.Path, Status)) (*Engine, error) {
	wake, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("open BFD: %w", os.NewSyscallError("eventfd", err))
	}
	e := &Engine{
		wake: os.NewFile(uintptr(wake), "eventfd"), wakeFD: int32(wake), //nolint:gosec // a file descriptor
		orders: make(chan func(), 16), ended: make(chan struct{}),
		peers: map[bfd.Path]*peer{}, leaving: map[bfd.Path]*peer{}, changed: changed, log: log, poll: ppoll,
		buffer: make([]byte, 0, bfd.PacketSize),
	}
	e.table = bfd.NewTable(rand.Uint64(), e.send, e.tell) //nolint:gosec // discriminators are no secret
	return e, nil
}

// Run carries the sessions until ctx ends, then tells each neighbour that its
// session ends, and closes all sockets. Call it once. When the kernel does not
// let it wait for packets, all sessions end with that error, and Configure begins
// them anew.
func (e *Engine) Run(ctx context.Context) error {
	defer close(e.ended)
	// A thread of its own: it sleeps in the kernel, not in Go's scheduler. It is
	// never given back, because of its priority, and ends with Run.
	runtime.LockOSThread()
	e.hurry()
	stop := context.AfterFunc(ctx, e.rouse)
	defer stop()
	e.gather()
	for ctx.Err() == nil {
		e.turn(ctx)
	}
	for path, p := range e.peers {
		e.end(path, p)
	}
	// ctx has ended, and must not cut the last words short.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
	defer cancel()
	defer context.AfterFunc(ctx, e.rouse)()
	for len(e.leaving) > 0 && ctx.Err() == nil {
		e.turn(ctx)
	}
	e.dismiss(time.Time{})
	return e.wake.Close()
}

// turn waits for what is next, and does it.
func (e *Engine) turn(ctx context.Context) {
	if err := e.wait(); err != nil {
		e.mourn(ctx, err)
		return
	}
	e.obey()
	for _, i := range e.inlets {
		e.receive(i, i.local, i.multi)
	}
	now := time.Now()
	if d := e.table.Next(); !d.IsZero() {
		e.late(now.Sub(d))
	}
	e.table.Run(now)
	e.dismiss(now)
}

// mourn ends all sessions, which nobody can carry any more.
func (e *Engine) mourn(ctx context.Context, err error) {
	e.log.Error("BFD has failed; its sessions are begun anew", "error", err)
	for path, p := range e.peers {
		e.drop(p)
		delete(e.peers, path)
		e.changed(path, Status{State: bfd.Down, Err: err})
	}
	e.dismiss(time.Time{})
	e.gather()
	select {
	case <-time.After(mourning):
	case do := <-e.orders:
		do()
	case <-ctx.Done():
	}
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
	if d := e.deadline(); !d.IsZero() {
		e.timeout = unix.NsecToTimespec(max(0, int64(time.Until(d))))
		timeout = &e.timeout
	}
	if err := e.poll(e.polled, timeout); err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("wait for BFD packets: %w", os.NewSyscallError("ppoll", err))
	}
	return nil
}

func ppoll(fds []unix.PollFd, timeout *unix.Timespec) error {
	_, err := unix.Ppoll(fds, timeout, nil)
	return err
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

// source is where packets come from.
type source interface {
	receive() (b []byte, from netip.Addr, ttl int, ok bool)
}

// receive empties a socket, whether or not it was told to be readable: something
// may have come since.
func (e *Engine) receive(s source, local netip.Addr, multi bool) {
	for range burst {
		b, from, ttl, ok := s.receive()
		if !ok {
			return
		}
		if !multi && ttl != farthest {
			e.refused.Add(1)
			continue
		}
		path := bfd.Path{Source: local, Remote: from, Multihop: multi}
		if err := e.table.Receive(time.Now(), path, b); err != nil {
			e.refused.Add(1)
		}
	}
}

func (e *Engine) late(by time.Duration) {
	if by > 0 && int64(by) > e.lateness.Load() {
		e.lateness.Store(int64(by))
	}
}

func (e *Engine) send(entry *bfd.Entry, p *bfd.Packet) {
	peer := e.peers[entry.Path]
	if peer == nil {
		peer = e.leaving[entry.Path]
	}
	e.buffer = p.Append(e.buffer[:0])
	peer.out.send(e.buffer)
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
	if former := e.leaving[w.Path]; former != nil {
		e.drop(former)
		delete(e.leaving, w.Path)
	}
	in, err := e.inlet(w.Path)
	if err != nil {
		return err
	}
	out, err := openSender(w.Path)
	if err != nil {
		e.leave(in)
		return fmt.Errorf("watch %s by BFD: %w", w.Path.Remote, err)
	}
	p := &peer{entry: e.table.Add(now, w.Path, w.Config), out: out, inlet: in}
	e.peers[w.Path] = p
	e.tell(p.entry)
	return nil
}

// end ends a session. It says so for a detection time, as RFC 5880 6.8.16 wants,
// at the pace of a session that is not up.
func (e *Engine) end(path bfd.Path, p *peer) {
	now := time.Now()
	p.until = now.Add(min(p.entry.Detection(), longestFarewell))
	delete(e.peers, path)
	e.leaving[path] = p
	p.entry.Stop(now)
	e.table.Settle(p.entry)
}

// dismiss lets go the sessions that have said their last by now; zero: all.
func (e *Engine) dismiss(now time.Time) {
	for path, p := range e.leaving {
		if now.IsZero() || !now.Before(p.until) {
			e.drop(p)
			delete(e.leaving, path)
			e.gather()
		}
	}
}

// drop forgets a session and closes its socket.
func (e *Engine) drop(p *peer) {
	e.table.Remove(p.entry)
	_ = unix.Close(p.out.fd) // nothing can be done about it
	e.leave(p.inlet)
}

// deadline is when the next turn has to be; zero: when something happens.
func (e *Engine) deadline() time.Time {
	next := e.table.Next()
	for _, p := range e.leaving {
		if next.IsZero() || p.until.Before(next) {
			next = p.until
		}
	}
	return next
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
