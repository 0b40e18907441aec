package moves

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vipd/vipd/internal/lab"
	"golang.org/x/sync/errgroup"
)

// bulk is how much is transferred in each direction through a move.
const bulk = 1 << 30

// sum is what a direction of a connection has carried.
type sum struct {
	bytes int64
	crc   uint32
}

func (s *sum) add(p []byte) {
	s.bytes += int64(len(p))
	s.crc = crc32.Update(s.crc, crc32.MakeTable(crc32.Castagnoli), p)
}

// send sends until enough has been sent and goOn is false, and half-closes.
func send(to *net.TCPConn, enough int64, goOn func() bool) (sum, error) {
	block := make([]byte, 256<<10)
	for i := range block {
		block[i] = byte(i * 7)
	}
	var sent sum
	for n := 0; sent.bytes < enough || goOn(); n++ {
		block[0], block[1], block[2] = byte(n), byte(n>>8), byte(n>>16) // no two blocks are alike
		if _, err := to.Write(block); err != nil {
			return sent, fmt.Errorf("after %d bytes sent: %w", sent.bytes, err)
		}
		sent.add(block)
	}
	return sent, to.CloseWrite()
}

// receive reads to the end of the stream.
func receive(from *net.TCPConn) (sum, error) {
	var received sum
	for buf := make([]byte, 256<<10); ; {
		n, err := from.Read(buf)
		received.add(buf[:n])
		if errors.Is(err, io.EOF) {
			return received, nil
		}
		if err != nil {
			return received, fmt.Errorf("after %d bytes received: %w", received.bytes, err)
		}
	}
}

// transfer sends in one direction of a connection, through whatever meanwhile
// does, and makes sure that all arrives.
func (s *stage) transfer(from, to *net.TCPConn, enough int64, meanwhile func()) {
	s.t.Helper()
	until := time.Now().Add(patience)
	s.must(errors.Join(from.SetDeadline(until), to.SetDeadline(until)))
	var going atomic.Bool
	going.Store(true)
	var sent, received sum
	var g errgroup.Group
	g.Go(func() (err error) {
		sent, err = send(from, enough, going.Load)
		return err
	})
	g.Go(func() (err error) {
		received, err = receive(to)
		return err
	})
	meanwhile()
	going.Store(false)
	s.must(g.Wait())
	if sent != received {
		s.t.Errorf("sent %+v, received %+v", sent, received)
	}
}

// Connections in every state that TCP knows, and much data, go through moves.
func TestData(t *testing.T) {
	s := open(t, setup{vips: bothVIPs})
	vips := bothVIPs

	s.part("a gigabyte up and one down, with a move in each", func(s *stage) {
		owner := s.settle()
		for i, vip := range vips {
			p := s.pair(s.Lab.Client, vip)
			there, back := s.others(p.on)[i], p.on
			s.transfer(p.client, p.server, bulk, func() { s.moveTo(there) })
			s.transfer(p.server, p.client, bulk, func() { s.moveTo(back) })
		}
		s.moveTo(owner)
	})
	s.part("half-closed by the client, and by the server, before the move", func(s *stage) {
		owner := s.settle()
		const some = 8 << 20
		var asked, answered []*pair
		for _, vip := range vips {
			a, b := s.pair(s.Lab.Client, vip), s.pair(s.Lab.Client, vip)
			s.must(a.client.CloseWrite())
			s.must(b.server.CloseWrite())
			asked, answered = append(asked, a), append(answered, b)
		}
		s.moveTo(s.others(owner)[0])
		never := func() {}
		for i := range vips {
			s.transfer(asked[i].server, asked[i].client, some, never)
			s.transfer(answered[i].client, answered[i].server, some, never)
		}
	})
	s.part("closed by the server with data in its queue (FIN_WAIT_1)", func(s *stage) {
		owner := s.settle()
		queued := map[*pair]sum{}
		for _, vip := range vips {
			p := s.pair(s.Lab.Client, vip)
			queued[p] = s.stuff(p.server)
			s.must(p.server.Close())
		}
		s.await("two connections in FIN_WAIT_1", func() error {
			if n := s.inState(owner, "fin-wait-1"); n != len(queued) {
				return fmt.Errorf("%d", n)
			}
			return nil
		})
		s.moveTo(s.others(owner)[1])
		for p, sent := range queued {
			s.must(p.client.SetReadDeadline(time.Now().Add(patience)))
			received, err := receive(p.client)
			s.must(err)
			if received != sent {
				s.t.Errorf("%s: sent %+v, received %+v", p.client.LocalAddr(), sent, received)
			}
		}
	})
	s.part("a client's port is used again while every node has it in TIME_WAIT", func(s *stage) {
		const port = 40000
		hosts := s.Lab.Hosts
		for _, vip := range vips {
			for _, h := range hosts {
				s.moveTo(h)
				p := s.pairFrom(port, vip)
				s.must(p.server.Close()) // the side that closes first waits
				s.must(p.client.Close())
			}
			for _, h := range hosts {
				s.moveTo(h)
				p := s.pairFrom(port, vip)
				if p.on != h {
					s.t.Errorf("answered by %s, want %s", p.on, h)
				}
				for _, to := range append(s.others(h), h) {
					s.moveTo(to)
					s.keptAll(p)
				}
				s.must(p.server.Close())
				s.must(p.client.Close())
			}
		}
	})
}

// stuff writes until the peer, who does not read, takes no more.
func (s *stage) stuff(to *net.TCPConn) (sent sum) {
	s.t.Helper()
	block := make([]byte, 64<<10)
	for {
		const full = 200 * time.Millisecond
		s.must(to.SetWriteDeadline(time.Now().Add(full)))
		n, err := to.Write(block)
		sent.add(block[:n])
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return sent
		}
		s.must(err)
	}
}

// inState counts a host's connections to the pairs' port in a state of ss(8).
func (s *stage) inState(h *lab.Host, state string) int {
	s.t.Helper()
	out := s.run(h, "ss", "-Htn", "state", state, fmt.Sprintf("sport = :%d", pairPort))
	n := 0
	for range strings.Lines(out) {
		n++
	}
	return n
}

// pairFrom is pair from a port of the client that was used before. The last one
// to use it may be not quite gone.
func (s *stage) pairFrom(port uint16, vip netip.Addr) (p *pair) {
	s.t.Helper()
	s.await("a connection from the same port", func() (err error) {
		p, err = s.dial(s.Lab.Client, vip, port)
		return err
	})
	return p
}
