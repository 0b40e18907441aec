package metrics

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/exporter-toolkit/web"

	"github.com/vipd/vipd/internal/listener"
)

// Pulse tells whether the daemon's loop runs.
type Pulse interface {
	// Alive returns nil when the loop answers before ctx ends.
	Alive(ctx context.Context) error
}

const (
	// pulseTimeout is how long the loop may take to answer /healthz. It
	// answers within microseconds unless it is stuck.
	pulseTimeout = time.Second
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
// takes the daemon down: the VIPs come first.
func (s *Server) Serve(ctx context.Context) {
	l := listener.Listener{
		Key: "metrics.listen", Address: s.Address, Handler: s.handler(), Log: s.Log, Listen: s.listen,
		// Checked before listening, so that no moment has less protection than the
		// file asks for.
		Ready: func() error { return CheckWebConfig(s.WebConfig) },
		Serve: func(socket net.Listener, server *http.Server) error {
			return web.Serve(socket, server, &web.FlagConfig{WebConfigFile: &s.WebConfig}, slog.New(toolkitLog{s.Log.Handler()}))
		},
	}
	l.Run(ctx)
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
