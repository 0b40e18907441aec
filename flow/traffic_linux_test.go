package flow

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// broken is how long a stream may wait for an answer before it counts as hung.
const broken = 8 * time.Second

// dial opens a connection from the host; it returns who answered.
func (h host) dial(to netip.Addr, port uint16) (conn *net.TCPConn, server string, err error) {
	return h.dialFrom(0, to, port)
}

// dialFrom opens a connection from a port of the host, 0 for any.
func (h host) dialFrom(from uint16, to netip.Addr, port uint16) (conn *net.TCPConn, server string, err error) {
	h.do(func() {
		var c net.Conn
		d := net.Dialer{Timeout: broken}
		if from != 0 {
			d.LocalAddr = &net.TCPAddr{Port: int(from)}
		}
		if c, err = d.Dial("tcp", netip.AddrPortFrom(to, port).String()); err == nil {
			conn = c.(*net.TCPConn)
		}
	})
	if err != nil {
		return nil, "", err
	}
	if err = conn.SetDeadline(time.Now().Add(broken)); err == nil {
		server, err = readLine(conn)
	}
	if err != nil {
		return nil, "", errors.Join(err, conn.Close())
	}
	return conn, server, nil
}

// readLine reads byte by byte, so that nothing is lost in a buffer.
func readLine(conn net.Conn) (string, error) {
	var line []byte
	for b := make([]byte, 1); ; {
		if _, err := conn.Read(b); err != nil {
			return "", err
		}
		if b[0] == '\n' {
			return string(line), nil
		}
		line = append(line, b[0])
	}
}

// must opens a connection and fails the test without one.
func (h host) must(to netip.Addr, port uint16, server string) *net.TCPConn {
	h.t.Helper()
	conn, by, err := h.dial(to, port)
	if err != nil {
		h.t.Fatalf("connect to %s: %v", to, err)
	}
	h.t.Cleanup(func() { conn.Close() })
	if by != server {
		h.t.Fatalf("%s answers for %s, want %s", by, to, server)
	}
	return conn
}

// echo sends a line and reads it back.
func echo(conn net.Conn, line string) error {
	if err := conn.SetDeadline(time.Now().Add(broken)); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(conn, line); err != nil {
		return err
	}
	got, err := readLine(conn)
	if err != nil {
		return err
	}
	if got != line {
		return fmt.Errorf("sent %q, got %q", line, got)
	}
	return nil
}

// traffic is open streams and new connections to the VIPs, until stopped.
type traffic struct {
	t        *testing.T
	stopped  chan struct{}
	done     sync.WaitGroup
	lines    atomic.Int64 // answered on streams
	requests atomic.Int64 // answered on connections of their own
	stall    atomic.Int64 // the longest wait for a line, in nanoseconds
	mu       sync.Mutex
	failures []string
}

// load opens n streams to each address and, open loop, a connection to each
// every 10 ms.
func (c *cluster) load(n int, to ...netip.Addr) *traffic {
	c.t.Helper()
	tr := &traffic{t: c.t, stopped: make(chan struct{})}
	for _, vip := range to {
		for range n {
			conn, _, err := c.client.dial(vip, c.port)
			if err != nil {
				c.t.Fatal(err)
			}
			tr.done.Go(func() { tr.stream(conn) })
		}
		tr.done.Go(func() { tr.knock(c.client, vip, c.port) })
	}
	return tr
}

func (tr *traffic) stream(conn net.Conn) {
	defer conn.Close()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for number := 0; ; number++ {
		select {
		case <-tr.stopped:
			return
		case <-tick.C:
		}
		sent := time.Now()
		if err := echo(conn, fmt.Sprintf("line %d", number)); err != nil {
			tr.fail("stream after %d lines: %v", number, err)
			return
		}
		tr.lines.Add(1)
		tr.waited(time.Since(sent))
	}
}

// knock opens connections whether the last one was answered or not.
func (tr *traffic) knock(h host, vip netip.Addr, port uint16) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tr.stopped:
			return
		case <-tick.C:
		}
		tr.done.Go(func() {
			conn, _, err := h.dial(vip, port)
			if err == nil {
				err = errors.Join(echo(conn, "hello"), conn.Close())
			}
			if err != nil {
				tr.fail("new connection: %v", err)
				return
			}
			tr.requests.Add(1)
		})
	}
}

func (tr *traffic) waited(d time.Duration) {
	for {
		longest := tr.stall.Load()
		if int64(d) <= longest || tr.stall.CompareAndSwap(longest, int64(d)) {
			return
		}
	}
}

func (tr *traffic) fail(format string, args ...any) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.failures = append(tr.failures, fmt.Sprintf(format, args...))
}

func (tr *traffic) failed() []string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.failures
}

// flows waits until every stream and some new connections were served since.
func (tr *traffic) flows() {
	tr.t.Helper()
	lines, requests := tr.lines.Load(), tr.requests.Load()
	await(tr.t, "traffic to flow", func() bool {
		return len(tr.failed()) > 0 || tr.lines.Load() > lines+400 && tr.requests.Load() > requests+60
	})
}

// stop ends the traffic and fails the test if anything broke.
func (tr *traffic) stop() {
	tr.t.Helper()
	close(tr.stopped)
	tr.done.Wait()
	tr.t.Logf("%d lines, %d new connections, longest stall %v",
		tr.lines.Load(), tr.requests.Load(), time.Duration(tr.stall.Load()).Round(time.Millisecond))
	if len(tr.failures) > 0 {
		tr.t.Errorf("%d failures:\n%s", len(tr.failures), strings.Join(tr.failures[:min(10, len(tr.failures))], "\n"))
	}
}
