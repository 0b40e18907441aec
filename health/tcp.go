package health

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/health/counter"
)

// tcpProbe connects, and closes at once.
type tcpProbe struct {
	address string
	timeout time.Duration
}

func newTCPProbe(check config.Check) (*tcpProbe, error) {
	host, port, err := net.SplitHostPort(check.Address)
	if err != nil {
		return nil, fmt.Errorf("address: %w", err)
	}
	if host == "" || port == "" {
		return nil, fmt.Errorf("address: %q is not of the form host:port", check.Address)
	}
	return &tcpProbe{address: check.Address, timeout: check.Timeout}, nil
}

func (p *tcpProbe) probe(ctx context.Context) Result {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	start := time.Now()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", p.address)
	res := Result{Latency: time.Since(start), Result: counter.Result{Ready: counter.OK}}
	if err == nil {
		_ = conn.Close()
	} else {
		res.Result = p.failure(ctx, err)
	}
	res.Live = livenessFrom(res.Ready)
	return res
}

func (p *tcpProbe) failure(ctx context.Context, err error) counter.Result {
	o, reason, ok := blameConnection(ctx, p.timeout, err)
	if !ok {
		o, reason = counter.Unreachable, err.Error()
	}
	return counter.Result{Ready: o, Reason: oneLine(fmt.Sprintf("connect to %s: %s", p.address, reason))}
}

// stirred is nil: a server may mind an idle connection, and its end would tell
// no more than the next probe.
func (p *tcpProbe) stirred() <-chan struct{} { return nil }

func (p *tcpProbe) close() {}
