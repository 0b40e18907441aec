package path

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// tries is how many requests in a row must be served. Routers spread connections
// by their ports, so one that still has a path to this node takes some of them
// here.
const tries = 8

// Question is what to ask for.
type Question struct {
	// VIP is the address and port of the service.
	VIP netip.AddrPort
	// Interface leads to the routers.
	Interface string
	// From is this node's address there, of the VIP's family.
	From netip.Addr
	// URL is the path and scheme of a health check that tells whether the node is
	// ready; the zero URL: a connection will do.
	URL URL
}

// URL is a question of HTTP.
type URL struct {
	// TLS asks by https. The certificate is not verified: the answer is about
	// health, and tells nothing to anybody.
	TLS  bool
	Path string
}

// Prover asks for VIPs through the routers.
type Prover struct {
	// AcceptLocal makes an interface take answers whose source, the VIP, is an
	// address of this host.
	AcceptLocal func(interfaceName string) (giveBack func() error, err error)
}

// Prove returns nil when another node served each of a few requests.
func (p Prover) Prove(ctx context.Context, q Question) (err error) {
	if q.VIP.Addr().Is4() {
		giveBack, err := p.AcceptLocal(q.Interface)
		if err != nil {
			return fmt.Errorf("ask for %s by %s: %w", q.VIP, q.Interface, err)
		}
		defer func() { err = errors.Join(err, giveBack()) }()
	}
	for range tries {
		if err := q.ask(ctx); err != nil {
			return fmt.Errorf("ask for %s by %s: %w", q.VIP, q.Interface, err)
		}
	}
	return nil
}

// dialer connects by the interface, past the address on lo.
func (q Question) dialer() *net.Dialer {
	return &net.Dialer{
		LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(q.From, 0)),
		Control: func(_, _ string, raw syscall.RawConn) error {
			var bound error
			if err := raw.Control(func(fd uintptr) { bound = unix.BindToDevice(int(fd), q.Interface) }); err != nil {
				return err
			}
			return os.NewSyscallError("setsockopt bind to device", bound)
		},
	}
}

func (q Question) ask(ctx context.Context) error {
	if q.URL == (URL{}) {
		conn, err := q.dialer().DialContext(ctx, "tcp", q.VIP.String())
		if err != nil {
			return err
		}
		return conn.Close()
	}
	scheme := "http"
	if q.URL.TLS {
		scheme = "https"
	}
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return q.dialer().DialContext(ctx, network, q.VIP.String())
		},
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // see URL
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+q.VIP.String()+q.URL.Path, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	_ = response.Body.Close() // it is not read
	switch response.StatusCode {
	case http.StatusOK, http.StatusUnauthorized, http.StatusForbidden:
		return nil // as in package health: who asks is not known, and need not be
	}
	return fmt.Errorf("the node that answers is not ready: %s", response.Status)
}
