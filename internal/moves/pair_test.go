package moves

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/vipd/vipd/internal/lab"
)

// pair is a TCP connection to a VIP of the pairs' group, with both ends in the
// test's hands.
type pair struct {
	client, server *net.TCPConn
	// from and on are the hosts of the two ends.
	from, on *lab.Host
}

// newest is the number of the last pair: the client's first eight bytes, by which
// the server's end is found, whatever addresses are translated on the way.
var newest atomic.Uint64

// pairServer takes the connections of pairs on a host, on all addresses, as
// kube-apiserver does.
type pairServer struct {
	host *lab.Host

	mu      sync.Mutex
	waiting map[uint64]chan *net.TCPConn
}

// servePairs starts a server on each host; they end with the test.
func (s *stage) servePairs() map[*lab.Host]*pairServer {
	s.t.Helper()
	servers := map[*lab.Host]*pairServer{}
	for _, h := range s.Lab.Hosts {
		var listener net.Listener
		s.must(h.Do(func() (err error) {
			listener, err = net.Listen("tcp", fmt.Sprintf(":%d", pairPort))
			return err
		}))
		server := &pairServer{host: h, waiting: map[uint64]chan *net.TCPConn{}}
		var serving sync.WaitGroup
		serving.Go(func() { server.run(listener) })
		s.t.Cleanup(func() {
			if err := listener.Close(); err != nil {
				s.t.Error(err)
			}
			serving.Wait()
		})
		servers[h] = server
	}
	return servers
}

// run takes connections until the listener is closed.
func (p *pairServer) run(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go p.take(conn.(*net.TCPConn))
	}
}

// take reads which pair a connection belongs to. One that nobody waits for, such
// as a daemon's probe, is closed.
func (p *pairServer) take(conn *net.TCPConn) {
	var id [8]byte
	if _, err := io.ReadFull(conn, id[:]); err == nil {
		p.mu.Lock()
		waiting := p.waiting[binary.BigEndian.Uint64(id[:])]
		p.mu.Unlock()
		if waiting != nil {
			waiting <- conn
			return
		}
	}
	_ = conn.Close() // nobody's
}

// expect returns where the server's end of a pair will come.
func (p *pairServer) expect(id uint64) <-chan *net.TCPConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting[id] = make(chan *net.TCPConn, 1)
	return p.waiting[id]
}

// pairAddr is the pairs' VIP of a family.
func pairAddr(vip netip.Addr) netip.AddrPort { return netip.AddrPortFrom(vip.Next(), pairPort) }

// pair opens a connection from a host to the pairs' VIP beside a VIP. Whoever owns
// it has the other end.
func (s *stage) pair(from *lab.Host, vip netip.Addr) *pair {
	s.t.Helper()
	p, err := s.dial(from, vip, 0)
	s.must(err)
	return p
}

// dial is pair from a port of the client, 0 for any, that may fail.
func (s *stage) dial(from *lab.Host, vip netip.Addr, port uint16) (*pair, error) {
	id := newest.Add(1)
	ends := map[*lab.Host]<-chan *net.TCPConn{}
	for h, server := range s.servers {
		ends[h] = server.expect(id)
	}
	client, err := dialFrom(s.ctx(), from, pairAddr(vip), port)
	if err != nil {
		return nil, err
	}
	p := &pair{client: client, from: from}
	s.t.Cleanup(func() { _ = client.Close() }) // closed already, or its end does not matter
	if _, err := client.Write(binary.BigEndian.AppendUint64(nil, id)); err != nil {
		return nil, err
	}
	err = lab.Await(s.ctx(), "the server's end of a connection", func() error {
		for h, end := range ends {
			select {
			case p.server = <-end:
				p.on = h
				return nil
			default:
			}
		}
		return errors.New("no host has it")
	})
	if err == nil {
		s.t.Cleanup(func() { _ = p.server.Close() }) // as above
	}
	return p, err
}

// dialFrom opens a connection from a host's port, 0 for any, that may still be in
// TIME_WAIT.
func dialFrom(ctx context.Context, from *lab.Host, to netip.AddrPort, port uint16) (*net.TCPConn, error) {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{Port: int(port)}, Control: func(_, _ string, c syscall.RawConn) (err error) {
		controlled := c.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
		})
		return errors.Join(controlled, err)
	}}
	var conn net.Conn
	err := from.Do(func() (err error) {
		conn, err = dialer.DialContext(ctx, "tcp", to.String())
		return err
	})
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}

// fate is what became of a connection.
type fate string

const (
	kept fate = "kept"
	// wasReset: the client was told at once, or when it sent.
	wasReset fate = "reset"
	// hung: neither. There must be none, ever.
	hung fate = "hung"
)

// bound is how long a client that sends may be left without a word: the life of
// what a predecessor that died leaves, 3 s, and retransmissions that grow to
// more than that.
const bound = 12 * time.Second

// fate finds out whether a connection still carries data both ways.
func (p *pair) fate() (fate, error) {
	until := time.Now().Add(bound)
	if err := errors.Join(p.client.SetDeadline(until), p.server.SetDeadline(until)); err != nil {
		return "", err
	}
	err := p.exchange()
	switch {
	case err == nil:
		return kept, nil
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNABORTED):
		return wasReset, nil
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		return hung, nil
	}
	return "", err
}

// exchange sends a word there and back. What the client is told counts: a server
// whose connection was destroyed under it is asked no more.
func (p *pair) exchange() error {
	const word = "ping"
	if _, err := p.client.Write([]byte(word)); err != nil {
		return err
	}
	go func() {
		buf := make([]byte, len(word))
		if _, err := io.ReadFull(p.server, buf); err == nil {
			_, _ = p.server.Write(buf) // the client's end tells
		}
	}()
	buf := make([]byte, len(word))
	_, err := io.ReadFull(p.client, buf)
	return err
}

// keptAll makes sure that connections live.
func (s *stage) keptAll(pairs ...*pair) {
	s.t.Helper()
	for i, p := range pairs {
		got, err := p.fate()
		s.must(err)
		if got != kept {
			s.t.Errorf("connection %d of %d, from %s at %s to %s: %s", i+1, len(pairs), p.from, p.client.LocalAddr(), p.on, got)
		}
	}
}

// becomes makes sure of a connection's fate.
func (s *stage) becomes(want fate, p *pair) {
	s.t.Helper()
	got, err := p.fate()
	s.must(err)
	if got != want {
		s.t.Errorf("connection from %s at %s to %s: %s, want %s", p.from, p.client.LocalAddr(), p.on, got, want)
	}
}
