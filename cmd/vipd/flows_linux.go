package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/flow"
)

// memoryOf is the file in which changed settings of interfaces are remembered.
func memoryOf(c *config.Config) string { return filepath.Join(c.StateDir, "settings.json") }

// flows keeps open connections, by the kernel's rules.
type flows struct{ *flow.Flow }

// openFlows opens what keeps open connections. A kernel that lacks even the way
// to ask for it gets the stand-in that keeps none: VIPs move all the same.
func openFlows(log *slog.Logger, memory string) (f agent.Flows, closeFlows func() error) {
	opened, err := flow.New(log, memory)
	if err != nil {
		log.Warn("open connections will be reset when a VIP moves", "error", err)
		return noFlows{err}, func() error { return nil }
	}
	if missing := opened.Features().Missing; len(missing) > 0 {
		log.Warn("this kernel cannot do all that keeping open connections takes", "features", opened.Features().String())
	}
	return flows{opened}, opened.Close
}

func (f flows) Abilities() agent.Abilities {
	has := f.Features()
	able := agent.Abilities{
		IPv4: has.Handover(flow.IPv4), IPv6: has.Handover(flow.IPv6),
		Resets: has.Resets(), LocalClients: has.LocalClients(),
	}
	if !able.IPv4 || !able.IPv6 {
		able.Missing = has.String()
	}
	return able
}

func (f flows) Apply(ctx context.Context, groups []agent.FlowGroup) error {
	all := make([]flow.Group, 0, len(groups))
	for _, g := range groups {
		one := flow.Group{
			Name: g.Name, Interface: g.Interface, Addresses: g.Addresses, Port: g.Port, Role: flow.Owner,
			Prev: nodeOf(g.Prev), Owner: nodeOf(g.Owner), Settling: g.Settling, Lifetime: g.Lifetime,
		}
		if g.Shadow {
			one.Role = flow.Shadow
		}
		all = append(all, one)
	}
	return f.Flow.Apply(ctx, all)
}

// nodeOf is a next hop for each family.
func nodeOf(h agent.Hop) flow.Node {
	by := func(addr netip.Addr) flow.NextHop {
		switch {
		case addr.IsValid():
			return flow.NextHop{Addr: addr}
		case h.MAC != [6]byte{}:
			return flow.NextHop{MAC: net.HardwareAddr(h.MAC[:])}
		}
		return flow.NextHop{}
	}
	return flow.Node{V4: by(h.V4), V6: by(h.V6)}
}

func (f flows) HoldShadow(ctx context.Context, ifname string, addrs []netip.Addr, lifetime time.Duration, deadline time.Time) error {
	_, err := f.Flow.HoldShadow(ctx, ifname, addrs, lifetime, deadline)
	return err
}

func (f flows) Connections(ctx context.Context, addrs []netip.Addr, port uint16) (agent.Connections, error) {
	open, err := f.Flow.Connections(ctx, addrs, port)
	return agent.Connections{Own: open.Local, Remote: open.Remote}, err
}

func (f flows) Passed(ctx context.Context) (map[netip.Addr]agent.Passed, error) {
	counters, err := f.Counters(ctx)
	all := make(map[netip.Addr]agent.Passed, len(counters))
	for vip, c := range counters {
		all[vip] = agent.Passed{On: c.Forwarded, Left: c.Left}
	}
	return all, err
}

func (f flows) WatchRules(ctx context.Context, fn func()) error { return f.Watch(ctx, fn) }

func (flows) AcceptRule(port uint16) string { return flow.AcceptRule(port) }

// noFlows is a kernel that keeps no connections.
type noFlows struct{ why error }

func (n noFlows) Abilities() agent.Abilities { return agent.Abilities{Missing: n.why.Error()} }

func (noFlows) Apply(context.Context, []agent.FlowGroup) error { return nil }

func (n noFlows) HoldShadow(context.Context, string, []netip.Addr, time.Duration, time.Time) error {
	return n.why
}

func (noFlows) ReleaseShadow(context.Context, string, []netip.Addr) error { return nil }

func (noFlows) FindShadows(context.Context, []netip.Addr) ([]netip.Addr, error) { return nil, nil }

func (n noFlows) Connections(context.Context, []netip.Addr, uint16) (agent.Connections, error) {
	return agent.Connections{}, n.why
}

func (n noFlows) Reset(context.Context, []netip.Addr, uint16, bool) (int, error) { return 0, n.why }

func (n noFlows) ResetClients(context.Context, []netip.Addr, uint16) (int, error) { return 0, n.why }

func (noFlows) Passed(context.Context) (map[netip.Addr]agent.Passed, error) {
	return nil, errors.ErrUnsupported
}

func (noFlows) WatchRules(ctx context.Context, _ func()) error { <-ctx.Done(); return nil }

func (noFlows) AcceptRule(port uint16) string { return flow.AcceptRule(port) }
