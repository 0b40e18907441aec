package health

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/health/counter"
)

// httpProbe asks a server by HTTP/1.1, with or without TLS.
type httpProbe struct {
	timeout     time.Duration
	ready       *url.URL
	live        *url.URL // nil: not asked
	endpoint    Endpoint
	credentials *credentials // nil: plain HTTP
	warm        *line        // of the last probe that was answered well, or nil
}

func newHTTPProbe(check config.Check, ep Endpoint) (*httpProbe, error) {
	p := &httpProbe{timeout: check.Timeout, endpoint: ep}
	var err error
	if p.ready, err = parseURL(check.Type, check.URL); err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	if check.LivenessURL != "" {
		if p.live, err = parseURL(check.Type, check.LivenessURL); err != nil {
			return nil, fmt.Errorf("liveness_url: %w", err)
		}
	}
	if check.Type == config.CheckHTTPS {
		p.credentials = newCredentials(check)
	}
	return p, nil
}

func parseURL(scheme config.CheckType, text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, err
	}
	if u.Scheme != string(scheme) || u.Hostname() == "" {
		return nil, fmt.Errorf("%q is not of the form %s://host:port/path, which type %s needs", text, scheme, scheme)
	}
	return u, nil
}

func (p *httpProbe) probe(ctx context.Context) Result {
	p.dropEnded()
	v := visit{probe: p}
	if p.credentials != nil {
		m, err := p.credentials.load()
		if err != nil {
			return Result{Result: counter.Result{Ready: counter.Unconfigured, Reason: oneLine(err.Error())}}
		}
		v.material = m
	}
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	start := time.Now()
	ready, live := v.both(ctx)
	p.keep(v.leave(ready))
	res := Result{
		Latency:     ready.at.Sub(start),
		Result:      counter.Result{Ready: ready.outcome, Live: live.outcome, Reason: reasonOf(ready, live)},
		Certificate: v.certificate.Load(),
	}
	if v.material != nil {
		res.Warning = v.material.warning
	}
	return res
}

// reasonOf is the reason of the answer that is worse: of liveness where
// readiness has no more to say than "not authorised".
func reasonOf(ready, live answer) string {
	if ready.outcome == counter.Unauthorised && live.outcome == counter.Unauthorised {
		return ready.reason
	}
	if live.reason != "" && (ready.outcome == counter.OK || ready.outcome == counter.Unauthorised) {
		return live.reason
	}
	return ready.reason
}

// keep makes a line the trip wire in place of the former one, which has stood
// until now so that no instant is unwatched. Without a new one the former
// stays: its end still tells that a server which answers badly has died.
func (p *httpProbe) keep(l *line) {
	if l == nil {
		return
	}
	p.close()
	l.wire.idle.Store(true)
	p.warm = l
}

// dropEnded forgets a trip wire that has done its work.
func (p *httpProbe) dropEnded() {
	if p.warm == nil {
		return
	}
	select {
	case <-p.warm.wire.moved:
		p.close()
	default:
	}
}

func (p *httpProbe) stirred() <-chan struct{} {
	if p.warm == nil {
		return nil
	}
	return p.warm.wire.moved
}

func (p *httpProbe) close() {
	if p.warm != nil {
		p.warm.close()
		p.warm = nil
	}
}
