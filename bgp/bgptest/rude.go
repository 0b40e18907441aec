package bgptest

import (
	"errors"
	"net"
	"testing"
)

// Refuse starts a router that does not know its neighbour: it answers an OPEN with
// the given bytes, which may be none, and closes the connection. It ends with the
// test.
func Refuse(t testing.TB, answer []byte) *Router {
	t.Helper()
	return listen(t, &Router{stranger: true, answer: answer})
}

// Notification is a NOTIFICATION (RFC 4271 4.5); a text is RFC 9003's.
func Notification(code, subcode byte, text string) []byte {
	body := []byte{code, subcode}
	if text != "" {
		body = append(append(body, byte(len(text))), text...)
	}
	return message(notification, body...)
}

// Garbage is a message that is shorter than its header (RFC 4271 4.1).
func Garbage() []byte {
	m := message(keepalive)
	m[17] = 1
	return m
}

// Leave accepts no further connection, says the given bytes on the present one, and
// closes it in order.
func (r *Router) Leave(words []byte) error {
	if err := r.tcp.Close(); err != nil {
		return err
	}
	conn, err := r.present()
	if err != nil {
		return err
	}
	if _, err := conn.Write(words); err != nil {
		return err
	}
	_ = conn.CloseWrite() // it is closed already when the neighbour was quick to take offence
	return nil
}

// FallSilent accepts no further connection, and says nothing more on the present
// one: its first words were all that it had to say.
func (r *Router) FallSilent() error { return r.tcp.Close() }

func (r *Router) take(conn net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conn = conn
}

func (r *Router) present() (*net.TCPConn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	conn, ok := r.conn.(*net.TCPConn)
	if !ok {
		return nil, errors.New("nobody has connected")
	}
	return conn, nil
}
