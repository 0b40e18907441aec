package apiserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Options of a server process.
type Options struct {
	// Listen is host:port; an empty host listens on all addresses, as kube-apiserver does.
	Listen string
	// Node is the name that requests are answered with.
	Node string
	// CertDir holds CertFile and KeyFile.
	CertDir string
	// Control is the path of the control socket.
	Control string
	// Grace is how long open connections are served after the listener closed.
	Grace time.Duration
	// Tick is the time between two lines of a stream; zero means DefaultTick.
	Tick time.Duration
}

// DefaultTick is short enough to see a stall of a few milliseconds.
const DefaultTick = 10 * time.Millisecond

// Run serves until ctx ends, then stops gracefully. It prints "serving" once it
// does.
func Run(ctx context.Context, opts Options) error {
	cert, err := tls.LoadX509KeyPair(filepath.Join(opts.CertDir, CertFile), filepath.Join(opts.CertDir, KeyFile))
	if err != nil {
		return fmt.Errorf("load certificate: %w", err)
	}
	listener, err := net.Listen("tcp", opts.Listen)
	if err != nil {
		return fmt.Errorf("listen for clients: %w", err)
	}
	defer func() { _ = listener.Close() }() // closed twice, as a rule
	control, err := listenControl(opts.Control)
	if err != nil {
		return err
	}
	defer func() { _ = control.Close() }() // closed twice, as a rule

	tick := opts.Tick
	if tick == 0 {
		tick = DefaultTick
	}
	h := newHandler(opts.Node, tick)
	open := newOpenConns()
	secure := newServer(h)
	secure.ConnState, secure.TLSConfig = open.track, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	plain := newServer(h)
	plain.ConnState = open.track
	steer := newServer(http.HandlerFunc(h.control))
	split := newSniffer(listener)

	g, serving := errgroup.WithContext(ctx)
	g.Go(split.run)
	g.Go(func() error { return untilClosed(secure.ServeTLS(split.secure, "", "")) })
	g.Go(func() error { return untilClosed(plain.Serve(split.plain)) })
	g.Go(func() error { return untilClosed(steer.Serve(control)) })
	g.Go(func() error {
		<-serving.Done() // asked to stop, or one of the above failed
		h.stop()
		err := listener.Close()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), opts.Grace)
		defer cancel()
		open.awaitNone(grace)
		return errors.Join(err, secure.Close(), plain.Close(), steer.Close())
	})
	fmt.Println("serving")
	return g.Wait()
}

// newServer bounds what kube-apiserver bounds too.
func newServer(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: 32 * time.Second}
}

// untilClosed takes a server's end on request for no error.
func untilClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// listenControl takes the place of a socket that a killed server left.
func listenControl(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("replace control socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen for control: %w", err)
	}
	return l, nil
}

// openConns counts the clients' connections.
type openConns struct {
	mu    sync.Mutex
	open  map[net.Conn]struct{}
	empty *sync.Cond
}

func newOpenConns() *openConns {
	o := &openConns{open: make(map[net.Conn]struct{})}
	o.empty = sync.NewCond(&o.mu)
	return o
}

// track is an http.Server.ConnState.
func (o *openConns) track(conn net.Conn, state http.ConnState) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch state {
	case http.StateNew:
		o.open[conn] = struct{}{}
	case http.StateClosed, http.StateHijacked:
		delete(o.open, conn)
		o.empty.Broadcast()
	case http.StateActive, http.StateIdle: // open, as before
	}
}

// awaitNone waits for the end of the last connection or of ctx.
func (o *openConns) awaitNone(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.empty.Broadcast()
	})
	defer stop()
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.open) > 0 && ctx.Err() == nil {
		o.empty.Wait()
	}
}
