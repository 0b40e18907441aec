package apiserver

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/vipd/vipd/internal/lab"
)

// Process is a server that runs on a host of a lab.
type Process struct {
	*lab.Proc
	control string
}

// Program starts servers: a viplab binary, the authority of their certificates and
// what these must cover.
type Program struct {
	// Viplab is the path of a program with the subcommand apiserver.
	Viplab string
	// CA signs.
	CA *CA
	// Port is where the servers listen, on all addresses.
	Port uint16
	// VIPs are written into each certificate beside the node's own addresses.
	VIPs []netip.Addr
	// Tick is the time between two lines of a stream; zero means DefaultTick.
	Tick time.Duration
}

// CertDir is where a host's certificates lie.
func (p Program) CertDir(h *lab.Host) string {
	return filepath.Join(h.Dir(), "pki")
}

// CAFile is the path of the authority's certificate on a host.
func (p Program) CAFile(h *lab.Host) string { return filepath.Join(p.CertDir(h), CAFile) }

// Start issues a certificate, starts a server on the host and returns when it serves.
func (p Program) Start(ctx context.Context, h *lab.Host) (*Process, error) {
	dir := p.CertDir(h)
	if err := p.CA.Issue(dir, h.Name, append([]netip.Addr{h.Addr4, h.Addr6}, p.VIPs...)...); err != nil {
		return nil, err
	}
	control := filepath.Join(dir, "control.sock")
	proc, err := h.Start("apiserver", p.Viplab, "apiserver", "--listen", ":"+strconv.Itoa(int(p.Port)),
		"--name", h.Name, "--cert-dir", dir, "--control", control, "--tick", p.Tick.String())
	if err != nil {
		return nil, err
	}
	if err := proc.AwaitLog(ctx, "serving"); err != nil {
		return nil, err
	}
	return &Process{Proc: proc, control: control}, nil
}

// SetMode changes what the living server shows.
func (p *Process) SetMode(ctx context.Context, m Mode) error {
	var dialer net.Dialer
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		// A socket in the file system is reached from every network namespace.
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", p.control)
		},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://apiserver/", strings.NewReader(string(m)))
	if err != nil {
		return fmt.Errorf("set mode of the API server on %s: %w", p.Host, err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("set mode of the API server on %s: %w", p.Host, err)
	}
	defer func() { _ = resp.Body.Close() }() // it was only read
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("set mode of the API server on %s: %s", p.Host, resp.Status)
	}
	return nil
}
