// Package bgptest has a router for tests: it lets sessions come up, and tells what
// it hears.
package bgptest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
)

// ASN is the router's autonomous system.
const ASN = 64500

// Kinds of messages (RFC 4271 4.1).
const (
	open         = 1
	update       = 2
	notification = 3
	keepalive    = 4
)

const headerLength = 19

// Router listens on loopback.
type Router struct {
	tcp net.Listener
	// capabilities are those of its OPEN (RFC 5492 4).
	capabilities []byte
	// stranger: it does not know this neighbour. It answers an OPEN with answer,
	// and closes.
	stranger bool
	answer   []byte

	mu sync.Mutex
	// conn is the present connection.
	conn net.Conn

	// Opens, Updates and Notifications are what it heard: the bodies of messages,
	// and notifications as "code/subcode text", the text being RFC 9003's.
	Opens         chan []byte
	Updates       chan []byte
	Notifications chan string

	// Table is how many routes it sends when a session is there.
	Table int
}

// IPv4 and IPv6 are the capabilities for unicast routes (RFC 4760 8).
func IPv4() []byte { return []byte{1, 4, 0, 1, 0, 1} }

// IPv6 is the counterpart of IPv4.
func IPv6() []byte { return []byte{1, 4, 0, 2, 0, 1} }

// Listen starts a router with the given capabilities. It ends with the test.
func Listen(t testing.TB, capabilities ...[]byte) *Router {
	t.Helper()
	return listen(t, &Router{capabilities: bytes.Join(capabilities, nil)})
}

func listen(t testing.TB, r *Router) *Router {
	t.Helper()
	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.tcp = tcp
	r.Opens, r.Updates, r.Notifications = make(chan []byte, 64), make(chan []byte, 64), make(chan string, 64)
	ended := make(chan struct{})
	go func() { defer close(ended); r.serve() }()
	t.Cleanup(func() {
		_ = tcp.Close()
		<-ended
	})
	return r
}

// Address is where it listens.
func (r *Router) Address() netip.AddrPort { return netip.MustParseAddrPort(r.tcp.Addr().String()) }

func (r *Router) serve() {
	for {
		conn, err := r.tcp.Accept()
		if err != nil {
			return
		}
		r.take(conn)
		r.speak(conn)
		_ = conn.Close()
	}
}

// message is a BGP message.
func message(kind byte, body ...byte) []byte {
	m := append(bytes.Repeat([]byte{0xff}, 16), 0, 0, kind)
	m = append(m, body...)
	binary.BigEndian.PutUint16(m[16:], uint16(len(m))) //nolint:gosec // short
	return m
}

// opening is its OPEN (RFC 4271 4.2), with a hold time of 9 s.
func (r *Router) opening() []byte {
	parameters := append([]byte{2, byte(len(r.capabilities))}, r.capabilities...)
	body := []byte{4, ASN >> 8, ASN & 0xff, 0, 9, 10, 0, 0, 1, byte(len(parameters))}
	return message(open, append(body, parameters...)...)
}

func (r *Router) speak(conn net.Conn) {
	if !r.stranger {
		if _, err := conn.Write(append(r.opening(), message(keepalive)...)); err != nil {
			return
		}
	}
	header := make([]byte, headerLength)
	for {
		if _, err := io.ReadFull(conn, header); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint16(header[16:])-headerLength)
		if _, err := io.ReadFull(conn, body); err != nil {
			return
		}
		if r.stranger {
			_, _ = conn.Write(r.answer) // a test waits for what comes of it
			return
		}
		switch header[18] {
		case open:
			r.Opens <- body
		case keepalive:
			routes := r.Table
			r.Table = 0
			if err := SendTable(conn, routes); err != nil {
				return
			}
		case update:
			r.Updates <- body
		case notification:
			text := ""
			if len(body) > 3 {
				text = string(body[3:])
			}
			r.Notifications <- fmt.Sprintf("%d/%d %s", body[0], body[1], text)
			return
		}
	}
}
