package health

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/vipd/vipd/config"
)

// apiserver stands in for a kube-apiserver: a real TLS server whose answers,
// certificate and way of stopping a test chooses.
type apiserver struct {
	t        testing.TB
	ca       *authority
	listener net.Listener
	server   *http.Server

	mu          sync.Mutex
	certificate tls.Certificate
	conns       map[net.Conn]bool // open ones
	paths       []string          // of requests answered, in order
}

// protocols are those that servers offer; an API server offers both.
const (
	http1 = "HTTP/1.1"
	both  = "HTTP/1.1 and HTTP/2"
)

var protocols = []string{http1, both}

func newAPIServer(t testing.TB, protocol string, handler http.HandlerFunc) *apiserver {
	t.Helper()
	s := &apiserver{t: t, ca: newAuthority(t, "kubernetes"), conns: map[net.Conn]bool{}}
	s.certificate = s.ca.issue(tomorrow(), "127.0.0.1").tls(t)
	var err error
	if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	s.server = &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.mu.Lock()
			s.paths = append(s.paths, r.URL.Path)
			s.mu.Unlock()
			handler(w, r)
		}),
		TLSConfig: &tls.Config{
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
				s.mu.Lock()
				defer s.mu.Unlock()
				return &s.certificate, nil
			},
		},
		Protocols: offered(protocol),
		ErrorLog:  log.New(io.Discard, "", 0),
		ConnState: s.note,
	}
	t.Cleanup(func() { _ = s.server.Close() })
	return s
}

func offered(protocol string) *http.Protocols {
	var p http.Protocols
	p.SetHTTP1(true)
	p.SetHTTP2(protocol == both)
	return &p
}

// note keeps the set of open connections.
func (s *apiserver) note(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch state {
	case http.StateNew:
		s.conns[c] = true
	case http.StateClosed:
		delete(s.conns, c)
	case http.StateActive, http.StateIdle, http.StateHijacked:
	}
}

// open is the number of connections that clients hold.
func (s *apiserver) open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// start makes it serve TLS.
func (s *apiserver) start() *apiserver {
	go s.serve(func() error { return s.server.ServeTLS(s.listener, "", "") })
	return s
}

// startPlain makes it serve without TLS.
func (s *apiserver) startPlain() *apiserver {
	go s.serve(func() error { return s.server.Serve(s.listener) })
	return s
}

func (s *apiserver) serve(serve func() error) {
	if err := serve(); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		s.t.Errorf("serve: %v", err)
	}
}

// demandClientCertificate makes the server refuse clients without one of ca's.
func (s *apiserver) demandClientCertificate(ca *authority) {
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	s.server.TLSConfig.ClientCAs = pool
	s.server.TLSConfig.ClientAuth = tls.RequireAndVerifyClientCert
}

// show changes the server's certificate.
func (s *apiserver) show(p pair) {
	c := p.tls(s.t)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.certificate = c
}

// die ends the listener first and then each connection with a reset, as a
// killed process with unread data does.
func (s *apiserver) die() {
	_ = s.listener.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if secure, ok := c.(*tls.Conn); ok {
			c = secure.NetConn()
		}
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
	}
}

func (s *apiserver) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.paths...)
}

func (s *apiserver) url(scheme, path string) string {
	return scheme + "://" + s.listener.Addr().String() + path
}

// check is an https check of the server, with the server's CA.
func (s *apiserver) check() config.Check {
	return config.Check{
		Type:        config.CheckHTTPS,
		Name:        "apiserver",
		URL:         s.url("https", "/readyz"),
		LivenessURL: s.url("https", "/livez"),
		CAFile:      write(s.t, inDir(s.t, "ca.crt"), s.ca.pem()),
		Interval:    time.Hour, // a second probe is a triggered one
		Timeout:     10 * time.Second,
		Rise:        1,
		Fall:        2,
	}
}

func answerWith(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

var fine = answerWith(http.StatusOK, "ok")

// byPath answers readyz and livez differently.
func byPath(readyz, livez http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/livez" {
			livez(w, r)
			return
		}
		readyz(w, r)
	}
}

// hang answers when the client has gone.
func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// cutOff ends the connection without an answer.
func cutOff(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// once does one probe.
func once(t *testing.T, check config.Check, ep Endpoint) Result {
	t.Helper()
	p, err := newProber(check, ep)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	return p.probe(t.Context())
}

// watch runs a check until the test ends and returns its results.
func watch(t *testing.T, check config.Check) <-chan Result {
	t.Helper()
	results := make(chan Result)
	ctx, cancel := context.WithCancel(context.Background())
	r, err := New(check, Endpoint{}, func(res Result) {
		select {
		case results <- res:
		case <-ctx.Done():
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return results
}
