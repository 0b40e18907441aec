// Package relay stands between a client and a server on a host of a lab, and delays
// what they say to each other, or loses it.
package relay

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/vipd/vipd/internal/lab"
)

// chunk is the most that is taken at once, in bytes; queued is how many of them may
// wait for their time in each direction.
const chunk, queued = 16 << 10, 256

// Relay passes TCP connections on, inside one host.
type Relay struct {
	host     *lab.Host
	target   string
	listener net.Listener
	running  sync.WaitGroup

	mu    sync.Mutex
	delay time.Duration
	cut   bool
	// changed is closed, and replaced, when one of the two changes.
	changed chan struct{}
	conns   map[net.Conn]bool
	closed  bool
}

// Open listens on a host and passes what comes on to target. Close ends it.
func Open(h *lab.Host, listen, target string) (*Relay, error) {
	r := &Relay{host: h, target: target, changed: make(chan struct{}), conns: map[net.Conn]bool{}}
	err := h.Do(func() (err error) {
		r.listener, err = net.Listen("tcp", listen)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("relay on %s: %w", h, err)
	}
	r.running.Go(r.accept)
	return r, nil
}

// Delay has each byte wait for d, in each direction; 0 ends that.
func (r *Relay) Delay(d time.Duration) { r.set(func() { r.delay = d }) }

// Cut has nothing pass any more, in silence: connections stay open, also new
// ones, and what is said on them waits.
func (r *Relay) Cut() { r.set(func() { r.cut = true }) }

// Mend ends Cut; what waited passes.
func (r *Relay) Mend() { r.set(func() { r.cut = false }) }

func (r *Relay) set(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
	close(r.changed)
	r.changed = make(chan struct{})
}

// Close ends the relay and its connections.
func (r *Relay) Close() error {
	err := r.listener.Close()
	r.set(func() {
		r.closed = true
		for conn := range r.conns {
			_ = conn.Close() // whatever became of it
		}
	})
	r.running.Wait()
	return err
}

func (r *Relay) accept() {
	for {
		client, err := r.listener.Accept()
		if err != nil {
			return // closed
		}
		var server net.Conn
		err = r.host.Do(func() error {
			server, err = net.DialTimeout("tcp", r.target, time.Second)
			return err
		})
		if err != nil {
			_ = client.Close() // as the server's own refusal would
			continue
		}
		if !r.keep(client, server) {
			return
		}
		r.running.Go(func() { r.pass(client, server) })
		r.running.Go(func() { r.pass(server, client) })
	}
}

// keep notes connections for Close; false: the relay is closed, and so are they.
func (r *Relay) keep(conns ...net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, conn := range conns {
		if r.closed {
			_ = conn.Close() // nobody uses it
			continue
		}
		r.conns[conn] = true
	}
	return !r.closed
}

// said is what was read, and when.
type said struct {
	at   time.Time
	text []byte
}

// pass carries one direction. Its end is the end of the connection.
func (r *Relay) pass(from, to net.Conn) {
	waiting := make(chan said, queued)
	r.running.Go(func() {
		defer close(waiting)
		for {
			text := make([]byte, chunk)
			n, err := from.Read(text)
			if n > 0 {
				waiting <- said{time.Now(), text[:n]}
			}
			if err != nil {
				return
			}
		}
	})
	for s := range waiting {
		if !r.wait(s.at) {
			continue // closed; what is left is of no use
		}
		if _, err := to.Write(s.text); err != nil {
			_ = from.Close() // the reader ends by that
		}
	}
	r.mu.Lock()
	delete(r.conns, to)
	r.mu.Unlock()
	if c, ok := to.(interface{ CloseWrite() error }); ok {
		if err := c.CloseWrite(); err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.EOF) {
			_ = to.Close() // it is broken already
		}
	}
}

// wait waits until what was said may pass; false: never, the relay is closed.
func (r *Relay) wait(said time.Time) bool {
	for {
		r.mu.Lock()
		closed, cut, left, changed := r.closed, r.cut, r.delay-time.Since(said), r.changed
		r.mu.Unlock()
		switch {
		case closed:
			return false
		case cut:
			<-changed
		case left <= 0:
			return true
		default:
			select {
			case <-time.After(left):
			case <-changed:
			}
		}
	}
}
