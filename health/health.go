// Package health probes the service behind a VIP: https and http (readiness
// and liveness of an API server), tcp and exec. It reports what each probe
// found; verdicts are made by health/counter.
//
//	New(check) ─► Runner.Run:  wait for the interval, or for the warm connection to stir
//	                │                       ▲
//	                ▼                       │ end: probe now
//	              probe ── dial, TLS, GET readyz ──► line kept warm
//	                │
//	                ▼
//	              fn(Result) ──► counter.Group.Step
//
// Each https and http probe comes the way a new client would: by a connection
// of its own. So it notices a listener that is closed although open connections
// are still served (a graceful stop), an accept queue that nobody empties, and
// a new server certificate; a request on an old connection notices none of
// them. The connection of the last probe that was answered well is kept open,
// idle, as a trip wire: when the server dies, the kernel closes it, and the next
// probe starts at once instead of at the next interval. That end alone is no
// verdict, because healthy servers close idle connections too.
package health

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/netip"
	"time"

	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/health/counter"
)

// Result is what one probe found.
type Result struct {
	// Check is the check's name.
	Check string
	// At is when the probe started.
	At time.Time
	// Latency is how long the answer about readiness took.
	Latency time.Duration
	// Result is the part that counts.
	counter.Result
	// Warning is one line about something that does not touch the verdict yet:
	// a CA file that cannot be read any more, so that the last good one is in
	// use, or verification that is switched off. Empty if there is none.
	Warning string
	// Certificate is the server's, trusted or not; nil if none was seen by this
	// probe.
	Certificate *Certificate
}

// Certificate describes the certificate a server showed.
type Certificate struct {
	NotAfter time.Time
	// Names are its DNS names and IP addresses.
	Names []string
	// CoversEndpoint: it is valid for the host of the group's endpoint.
	CoversEndpoint bool
	// CoversVIPs: it is valid for each address of the group.
	CoversVIPs bool
}

// Covers reports whether clients that come by the endpoint or by the addresses
// will accept the certificate. A cluster with a DNS endpoint has no VIP in its
// certificate, and needs none.
func (c *Certificate) Covers() bool { return c.CoversEndpoint || c.CoversVIPs }

func describe(leaf *x509.Certificate, ep Endpoint) *Certificate {
	c := &Certificate{NotAfter: leaf.NotAfter, Names: append([]string(nil), leaf.DNSNames...), CoversVIPs: len(ep.VIPs) > 0}
	for _, ip := range leaf.IPAddresses {
		c.Names = append(c.Names, ip.String())
	}
	for _, vip := range ep.VIPs {
		c.CoversVIPs = c.CoversVIPs && leaf.VerifyHostname(vip.String()) == nil
	}
	host := hostOf(ep.Address)
	c.CoversEndpoint = host != "" && leaf.VerifyHostname(host) == nil
	return c
}

// Endpoint is what clients dial, for judging whether a certificate covers it.
type Endpoint struct {
	// VIPs are the addresses of the group.
	VIPs []netip.Addr
	// Address is host:port as in kubeadm's controlPlaneEndpoint.
	Address string
}

// prober does one kind of probe. Its methods are called by one goroutine.
type prober interface {
	// probe asks once and returns within the check's timeout, or soon after
	// ctx ends, whichever comes first. Check and At are left to the caller.
	probe(ctx context.Context) Result
	// stirred is closed when it is worth probing at once; nil if nothing can
	// tell.
	stirred() <-chan struct{}
	// close gives back what is kept between probes.
	close()
}

// New makes the Runner of a check; fn gets each result. It starts nothing.
// Errors name the key of the check that is wrong.
func New(check config.Check, ep Endpoint, fn func(Result)) (*Runner, error) {
	p, err := newProber(check, ep)
	if err != nil {
		return nil, fmt.Errorf("check %s: %w", check.Name, err)
	}
	return &Runner{name: check.Name, interval: check.Interval, prober: p, report: fn}, nil
}

func newProber(check config.Check, ep Endpoint) (prober, error) {
	if check.Interval <= 0 || check.Timeout <= 0 {
		return nil, fmt.Errorf("interval %s, timeout %s: both must be more than 0", check.Interval, check.Timeout)
	}
	switch check.Type {
	case config.CheckHTTPS, config.CheckHTTP:
		return newHTTPProbe(check, ep)
	case config.CheckTCP:
		return newTCPProbe(check)
	case config.CheckExec:
		return newExecProbe(check)
	}
	return nil, fmt.Errorf("type: %q is none of https, http, tcp, exec", check.Type)
}
