package main

import (
	"context"
	"log/slog"
	"net/netip"

	"golang.org/x/sync/errgroup"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/election/vrrp"
	"github.com/vipd/vipd/election/vrrp/rawsock"
	"github.com/vipd/vipd/health"
	"github.com/vipd/vipd/internal/program"
	"github.com/vipd/vipd/peer/udp"
	"github.com/vipd/vipd/vip"
)

// The edges do not know the agent; these adapters put their types into its.

// sockets opens advert sockets. Its goroutines end with the group's context.
type sockets struct {
	ctx   context.Context
	group *errgroup.Group
}

func (s sockets) Open(name string, ipv6 bool, ready chan struct{}) (agent.AdvertSocket, error) {
	socket, err := rawsock.Open(rawsock.Options{Interface: name, IPv6: ipv6, Ready: ready})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(s.ctx)
	s.group.Go(func() error { return socket.Run(ctx) })
	return advertSocket{Socket: socket, cancel: cancel}, nil
}

type advertSocket struct {
	*rawsock.Socket
	cancel context.CancelFunc
}

func (s advertSocket) Close() error {
	s.cancel()
	return s.Socket.Close()
}

func (s advertSocket) Refused() map[string]uint64 {
	c := s.Counters()
	return map[string]uint64{
		"oversized": c.Oversized, "malformed": c.Malformed,
		"fragment": c.Fragments, "queue-overflow": c.Overflowed,
	}
}

// helloSockets opens sockets for hellos. Its goroutines end with the group's
// context.
type helloSockets struct {
	ctx   context.Context
	group *errgroup.Group
	log   *slog.Logger
}

func (s helloSockets) OpenHello(name string, ipv6 bool, port uint16, ready chan struct{}) (agent.HelloSocket, error) {
	socket, err := udp.Open(udp.Options{Interface: name, IPv6: ipv6, Port: port, Ready: ready})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(s.ctx)
	s.group.Go(func() error {
		// Hellos are no reason to end a daemon that elects.
		if err := socket.Run(ctx); err != nil {
			s.log.Error("hellos are not received any more; restart vipd when nothing else needs it", "error", err)
		}
		return nil
	})
	return helloSocket{Socket: socket, cancel: cancel}, nil
}

type helloSocket struct {
	*udp.Socket
	cancel context.CancelFunc
}

func (s helloSocket) Close() error {
	s.cancel()
	return s.Socket.Close()
}

func (s helloSocket) Refused() map[string]uint64 {
	c := s.Counters()
	return map[string]uint64{"oversized": c.Oversized, "queue-overflow": c.Overflowed}
}

type prober struct {
	vip.Prober
	vip.Knocker
}

func (p prober) Knock(ctx context.Context, name string, from netip.Addr, to netip.AddrPort) (string, bool, error) {
	service, err := p.Knocker.Knock(ctx, name, from, to)
	return service.MAC.String(), service.Open, err
}

func (p prober) Probe(ctx context.Context, name string, addr netip.Addr) (string, error) {
	answer, err := p.Prober.Probe(ctx, name, addr)
	if err != nil || !answer.Answered || answer.AnswersAny {
		return "", err
	}
	return answer.MAC.String(), nil
}

func (p prober) Reach(ctx context.Context, name string, of netip.Addr, mac [6]byte, third []netip.Addr) (vrrp.Reached, error) {
	r, err := p.Prober.Reach(ctx, name, vip.Station{Addr: of, MAC: mac[:]}, third)
	answer := vrrp.Reached{Other: vrrp.Silent, Asked: r.Asked, Third: r.Third}
	switch {
	case r.Hears:
		answer.Other = vrrp.Hears
	case r.Unclear:
		answer.Other = vrrp.Unclear
	}
	return answer, err
}

type claims struct{}

func (claims) WatchClaims(ctx context.Context, name string, watched func(netip.Addr) bool, fn func(netip.Addr, string)) error {
	return vip.WatchClaims(ctx, name, watched, ofOwners(fn))
}

// ofOwners drops tentative claims: who only asks whether the address is free is
// no second owner, and the kernel of the one that holds it answers.
func ofOwners(fn func(netip.Addr, string)) func(vip.Claim) {
	return func(c vip.Claim) {
		if !c.Tentative {
			fn(c.Addr, c.MAC.String())
		}
	}
}

type healthProber struct{}

func (healthProber) WatchHealth(ctx context.Context, v config.VIP, fn func(agent.ProbeResult)) error {
	endpoint := health.Endpoint{VIPs: v.Addresses, Address: v.Endpoint}
	g, ctx := errgroup.WithContext(ctx)
	for _, check := range v.Health {
		runner, err := health.New(check, endpoint, func(r health.Result) { fn(probeResult(r)) })
		if err != nil {
			return err
		}
		g.Go(func() error { return runner.Run(ctx) })
	}
	return g.Wait()
}

// programs runs notify commands.
type programs struct{}

func (programs) Finish(ctx context.Context, command []string, variables ...string) error {
	return program.Finish(ctx, command, variables...)
}

func probeResult(r health.Result) agent.ProbeResult {
	result := agent.ProbeResult{Check: r.Check, Result: r.Result, Latency: r.Latency, Warning: r.Warning}
	if c := r.Certificate; c != nil {
		result.Certificate = &agent.CertificateStatus{NotAfter: c.NotAfter, CoversVIP: c.Covers(), Names: c.Names}
	}
	return result
}

// watchInterfaces tells the agent of links and addresses.
func watchInterfaces(ctx context.Context, a *agent.Agent) error {
	return vip.Watch(ctx, func(ev vip.Event) {
		switch ev := ev.(type) {
		case vip.InterfaceChanged:
			a.Post(ctx, agent.InterfaceChanged{Interface: agentInterface(ev.Interface)})
		case vip.InterfaceGone:
			a.Post(ctx, agent.InterfaceGone{Name: ev.Name})
		case vip.AddressRemoved:
			a.Post(ctx, agent.AddressRemoved{Interface: ev.Interface, Addr: ev.Prefix.Addr()})
		case vip.Synced:
			a.Post(ctx, agent.InterfacesKnown{})
		default:
			panic("vipd: unhandled interface event")
		}
	})
}

func agentInterface(i vip.Interface) agent.Interface {
	out := agent.Interface{Name: i.Name, Index: i.Index, Up: i.Up}
	if len(i.MAC) == len(out.MAC) {
		out.MAC = [6]byte(i.MAC)
	}
	for _, a := range i.Addrs {
		out.Addresses = append(out.Addresses, agent.Address{Prefix: a.Prefix, Unusable: a.Tentative || a.DADFailed})
	}
	return out
}
