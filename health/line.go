package health

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// line is one connection to a server: for the questions of one probe first, a
// trip wire afterwards.
type line struct {
	http *http.ClientConn
	conn net.Conn // below http: the TLS session, or wire itself
	wire *wire
}

func (l *line) close() { _ = l.http.Close() }

// dial connects to the URL's server and completes the TLS handshake; with a
// nil session it speaks plain HTTP.
func dial(ctx context.Context, u *url.URL, session *tls.Config) (*line, error) {
	address := dialAddress(u)
	var dialer net.Dialer
	tcp, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err // "dial tcp 127.0.0.1:6443: ..."
	}
	w := &wire{Conn: tcp, moved: make(chan struct{})}
	conn := net.Conn(w)
	if session != nil {
		session = session.Clone()
		if session.ServerName == "" {
			session.ServerName = u.Hostname()
		}
		secure := tls.Client(w, session)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = w.Close()
			return nil, fmt.Errorf("TLS handshake with %s: %w", address, err)
		}
		conn = secure
	}
	client, err := speak(ctx, u.Scheme, address, conn)
	if err != nil {
		err = lastWord(conn, err)
		_ = conn.Close()
		return nil, fmt.Errorf("start HTTP with %s: %w", address, err)
	}
	return &line{http: client, conn: conn, wire: w}, nil
}

// explain replaces the error of a request by what the server said about it in
// a TLS alert, if it did. With TLS 1.3 a server turns a client's certificate
// down only after the client's handshake is done, and the HTTP client hides
// that.
func (l *line) explain(err error) error {
	if l.http.Err() == nil {
		return err // the line lives, and somebody may be reading from it
	}
	return lastWord(l.conn, err)
}

// lastWord is the fatal alert that ended a TLS session, which crypto/tls
// returns from each later Read; err if there was none.
func lastWord(conn net.Conn, err error) error {
	_ = conn.SetReadDeadline(time.Now())
	var alert *net.OpError
	if _, end := conn.Read(make([]byte, 1)); errors.As(end, &alert) && alert.Op == remoteError {
		return alert
	}
	return err
}

// remoteError is the Op by which crypto/tls marks an alert from the peer.
const remoteError = "remote error"

// speak puts an HTTP client on a connection. The Transport serves for this one
// connection only: no pool, no proxy (Proxy is nil), no retry, no redirect.
func speak(ctx context.Context, scheme, address string, conn net.Conn) (*http.ClientConn, error) {
	given := func(context.Context, string, string) (net.Conn, error) { return conn, nil }
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	t := &http.Transport{
		DialContext:        given,
		DialTLSContext:     given,
		Protocols:          &protocols,
		DisableCompression: true,
	}
	return t.NewClientConn(ctx, scheme, address)
}

// wire is a connection that tells when anything moves on it while it is idle,
// which is its end: a server that dies ends it, and one that stops gracefully
// ends its idle connections first. The HTTP client above it always has a Read
// pending, so nothing goes unseen.
type wire struct {
	net.Conn
	idle  atomic.Bool
	once  sync.Once
	moved chan struct{} // closed at the first move
}

func (w *wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	// An end counts even before the wire was idle: there is no later Read that
	// could tell.
	if err != nil || w.idle.Load() {
		w.once.Do(func() { close(w.moved) })
	}
	return n, err
}
