package apiserver

import (
	"errors"
	"net"
	"sync"
)

// sniffer splits the connections of one listener by their first byte: a TLS
// record of a handshake begins with 22 (RFC 8446 5.1), plain HTTP with a letter.
type sniffer struct {
	listener net.Listener
	secure   *branch
	plain    *branch
}

func newSniffer(l net.Listener) *sniffer {
	return &sniffer{listener: l, secure: newBranch(l.Addr()), plain: newBranch(l.Addr())}
}

// run hands connections over until the listener is closed.
func (s *sniffer) run() error {
	for {
		conn, err := s.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		go s.sort(conn)
	}
}

// sort waits for the first byte of a connection.
func (s *sniffer) sort(conn net.Conn) {
	const handshake = 22
	first := make([]byte, 1)
	if _, err := conn.Read(first); err != nil {
		_ = conn.Close()
		return
	}
	b := s.plain
	if first[0] == handshake {
		b = s.secure
	}
	select {
	case b.conns <- &sniffed{Conn: conn, first: first}:
	case <-b.done:
		_ = conn.Close()
	}
}

// branch is one side of a sniffer, as a listener.
type branch struct {
	addr  net.Addr
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newBranch(addr net.Addr) *branch {
	return &branch{addr: addr, conns: make(chan net.Conn), done: make(chan struct{})}
}

func (b *branch) Accept() (net.Conn, error) {
	select {
	case conn := <-b.conns:
		return conn, nil
	case <-b.done:
		return nil, net.ErrClosed
	}
}

func (b *branch) Close() error {
	b.once.Do(func() { close(b.done) })
	return nil
}

func (b *branch) Addr() net.Addr { return b.addr }

// sniffed is a connection whose first byte was read already.
type sniffed struct {
	net.Conn
	first []byte
}

func (c *sniffed) Read(p []byte) (int, error) {
	if len(c.first) > 0 && len(p) > 0 {
		n := copy(p, c.first)
		c.first = c.first[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}
