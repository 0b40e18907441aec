// Package listener serves HTTP on an address that may not be there yet, beside
// work that must never suffer from it.
package listener

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// retryEvery is the time between attempts to listen. An address that is
	// assigned after the daemon started must not take long to be served.
	retryEvery    = 5 * time.Second
	headerTimeout = 5 * time.Second
	writeTimeout  = 15 * time.Second
	idleTimeout   = 2 * time.Minute
	stopGrace     = time.Second
)

// Listener serves one address.
type Listener struct {
	// Key is the configuration key of Address, host:port.
	Key, Address string
	Handler      http.Handler
	// Ready tells, before each attempt to listen, why it must not be; nil: never.
	Ready func() error
	// Serve serves what the listener accepts until the server is shut down; nil:
	// plain HTTP.
	Serve func(net.Listener, *http.Server) error
	Log   *slog.Logger
	// Listen is net.ListenConfig's if nil.
	Listen func(ctx context.Context, network, address string) (net.Listener, error)
}

// Run serves until ctx ends. It never gives up before: an address that this host
// does not have yet, a port that is taken and what Ready finds are logged once
// and tried again every few seconds.
func (l *Listener) Run(ctx context.Context) {
	told := ""
	for ctx.Err() == nil {
		err := l.once(ctx, func() { told = "" })
		if err == nil || ctx.Err() != nil {
			return
		}
		if text := err.Error(); text != told {
			told = text
			l.Log.Error("cannot serve for now; trying again", "key", l.Key, "error", err, "every", retryEvery)
		}
		select {
		case <-time.After(retryEvery):
		case <-ctx.Done():
		}
	}
}

// once listens and serves until ctx ends or something fails; listening is called
// in between.
func (l *Listener) once(ctx context.Context, listening func()) error {
	if l.Ready != nil {
		if err := l.Ready(); err != nil {
			return err
		}
	}
	listen := l.Listen
	if listen == nil {
		listen = new(net.ListenConfig).Listen
	}
	socket, err := listen(ctx, "tcp", l.Address)
	if err != nil {
		return l.explain(err)
	}
	listening()
	l.Log.Info("serving", "key", l.Key, "address", socket.Addr().String())
	return l.serve(ctx, socket)
}

func (l *Listener) serve(ctx context.Context, socket net.Listener) error {
	server := &http.Server{
		Handler:           l.Handler,
		ReadHeaderTimeout: headerTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    16 << 10,
		// TLS handshakes of port scanners are no operator's concern.
		ErrorLog: slog.NewLogLogger(l.Log.Handler(), slog.LevelDebug),
	}
	serve := l.Serve
	if serve == nil {
		serve = func(socket net.Listener, server *http.Server) error { return server.Serve(socket) }
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		err := serve(socket, server)
		// It may give up before it takes the listener over.
		_ = socket.Close()
		if errors.Is(err, http.ErrServerClosed) {
			return nil
		}
		return fmt.Errorf("%s: serve on %s: %w", l.Key, l.Address, err)
	})
	g.Go(func() error {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
		defer cancel()
		if server.Shutdown(grace) != nil {
			// Answers that outlast the grace are cut off.
			_ = server.Close()
		}
		return nil
	})
	return g.Wait()
}

// explain tells the operator what to change.
func (l *Listener) explain(err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s: %s is taken by another process (ss -ltnp shows which); stop it or choose another port: %w", l.Key, l.Address, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s: %s is no address of this host yet: %w", l.Key, l.Address, err)
	}
	return fmt.Errorf("%s: %s: %w", l.Key, l.Address, err)
}
