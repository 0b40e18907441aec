package main

import (
	"context"
	"net/netip"
	"net/url"
	"strconv"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/bgp/path"
	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/flow"
)

// paths asks for VIPs through the routers.
type paths struct{ prover *path.Prover }

// pathsBeside shares the settings of interfaces with what keeps open connections.
func pathsBeside(f agent.Flows) paths {
	if own, ok := f.(flows); ok {
		return paths{path.NewProver(own.AcceptLocal)}
	}
	return paths{path.NewProver(flow.AcceptLocal)}
}

// Prove implements agent.Paths.
func (p paths) Prove(ctx context.Context, v config.VIP, routers []netip.Addr) error {
	vips := make([]netip.AddrPort, len(v.Addresses))
	for i, addr := range v.Addresses {
		vips[i] = netip.AddrPortFrom(addr, v.Port)
	}
	if v.Announce == config.AnnounceLocal {
		return p.prover.ProveShared(ctx, vips, readinessURL(v))
	}
	return p.prover.Prove(ctx, vips, readinessURL(v), routers)
}

// readinessURL is the group's own question for readiness, to be asked elsewhere;
// the zero URL: it has none by HTTP.
func readinessURL(v config.VIP) path.URL {
	for _, c := range v.Health {
		if c.Type != config.CheckHTTPS && c.Type != config.CheckHTTP {
			continue
		}
		u, err := url.Parse(c.URL)
		if err != nil || u.Port() != strconv.Itoa(int(v.Port)) {
			continue // another server's health
		}
		return path.URL{TLS: c.Type == config.CheckHTTPS, Path: u.RequestURI()}
	}
	return path.URL{}
}
