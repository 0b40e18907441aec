package metrics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/exporter-toolkit/web"
	"golang.org/x/sync/errgroup"
)

// Pulse tells whether the daemon's loop runs.
type Pulse interface {
	// Alive returns nil when the loop answers before ctx ends.
	Alive(ctx context.Context) error
}

const (
	// retryEvery is the time between attempts to listen. An address that is
	// assigned after the daemon started must not take long to be scraped.
	retryEvery = 5 * time.Second
	// pulseTimeout is how long the loop may take to answer /healthz. It
	// answers within microseconds unless it is stuck.
	pulseTimeout  = time.Second
	headerTimeout = 5 * time.Second
	writeTimeout  = 15 * time.Second
	idleTimeout   = 2 * time.Minute
	stopGrace     = time.Second
	// scrapesAtOnce bounds what a crowd of clients costs the daemon.
	scrapesAtOnce = 4
)

// Server is the HTTP listener for Prometheus.
type Server struct {
	// Address is host:port, metrics.listen.
	Address string
	// WebConfig is a file of Prometheus' exporter-toolkit with TLS and users,
	// metrics.web_config; empty: plain HTTP for all. It is read anew for each
	// connection and request.
	WebConfig string
	Gatherer  prometheus.Gatherer
	Pulse     Pulse
	Log       *slog.Logger

	// listen is net.Listen unless a test replaces it.
	listen func(ctx context.Context, network, address string) (net.Listener, error)
}

// Serve answers scrapes until ctx ends. It never gives up before, and never
// takes the daemon down: the VIPs come first. An address that this host does
// not have yet, a port that is taken and a bad web_config are logged once and
// tried again every few seconds.
func (s *Server) Serve(ctx context.Context) {
	told := ""
	for ctx.Err() == nil {
		err := s.serveOnce(ctx, func() { told = "" })
		if err == nil || ctx.Err() != nil {
			return
		}
		if text := err.Error(); text != told {
			told = text
			s.Log.Error("no metrics for now; trying again", "error", err, "every", retryEvery)
		}
		select {
		case <-time.After(retryEvery):
		case <-ctx.Done():
		}
	}
}

// serveOnce listens and serves until ctx ends or something fails; listening is
// called in between.
func (s *Server) serveOnce(ctx context.Context, listening func()) error {
	// Checked before listening, so that no moment has less protection than the
	// file asks for.
	if err := CheckWebConfig(s.WebConfig); err != nil {
		return err
	}
	listen := s.listen
	if listen == nil {
		listen = new(net.ListenConfig).Listen
	}
	l, err := listen(ctx, "tcp", s.Address)
	if err != nil {
		return listenError(s.Address, err)
	}
	listening()
	s.Log.Info("serving metrics", "address", l.Addr().String(), "web_config", s.WebConfig)
	return s.serve(ctx, l)
}

func (s *Server) serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: headerTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    16 << 10,
		// TLS handshakes of port scanners are no operator's concern.
		ErrorLog: slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		err := web.Serve(l, server, &web.FlagConfig{WebConfigFile: &s.WebConfig}, slog.New(toolkitLog{s.Log.Handler()}))
		// It may give up before it takes the listener over.
		_ = l.Close()
		if errors.Is(err, http.ErrServerClosed) {
			return nil
		}
		return fmt.Errorf("serve metrics on %s: %w", s.Address, err)
	})
	g.Go(func() error {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
		defer cancel()
		if server.Shutdown(grace) != nil {
			// Scrapes that outlast the grace are cut off.
			_ = server.Close()
		}
		return nil
	})
	return g.Wait()
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.Gatherer, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(s.Log.Handler(), slog.LevelWarn),
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: scrapesAtOnce,
		EnableOpenMetrics:   true,
	}))
	mux.HandleFunc("GET /healthz", s.healthz)
	return mux
}

// healthz answers 200 while the loop runs, whatever the state of the VIPs.
func (s *Server) healthz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), pulseTimeout)
	defer cancel()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err := s.Pulse.Alive(ctx); err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintf(w, "the event loop does not answer: %v\n", err)
		return
	}
	fmt.Fprintln(w, "ok")
}

// CheckWebConfig reports what is wrong with the exporter-toolkit file at path,
// metrics.web_config, and what it points to; an empty path is no file and
// right.
func CheckWebConfig(path string) error {
	if err := web.Validate(path); err != nil {
		return fmt.Errorf("metrics.web_config: %s: %w", path, err)
	}
	return nil
}

func listenError(address string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("metrics.listen: %s is taken by another process (ss -ltnp shows which); stop it or choose another port: %w", address, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("metrics.listen: %s is no address of this host yet: %w", address, err)
	}
	return fmt.Errorf("metrics.listen: %s: %w", address, err)
}
