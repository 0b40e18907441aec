package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"

	"github.com/vipd/vipd/bgp/bfd/udp"
	"github.com/vipd/vipd/bgp/path"
	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/flow"
)

// paths asks for VIPs through the routers.
type paths struct{}

// Prove asks for each address of the group, by each interface that leads to a
// router.
func (paths) Prove(ctx context.Context, v config.VIP, routers []netip.Addr) error {
	prover := path.Prover{AcceptLocal: flow.AcceptLocal}
	asked := map[path.Question]bool{}
	for _, router := range routers {
		from, err := udp.LocalAddress(router)
		if err != nil {
			return err
		}
		for _, vip := range v.Addresses {
			link, own, err := wayOut(from, vip.Is6())
			if err != nil {
				return err
			}
			q := path.Question{VIP: netip.AddrPortFrom(vip, v.Port), Interface: link, From: own, URL: readinessURL(v)}
			if asked[q] {
				continue
			}
			asked[q] = true
			if err := prover.Prove(ctx, q); err != nil {
				return err
			}
		}
	}
	return nil
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

// wayOut is the interface that has an address, and its address of a family.
func wayOut(own netip.Addr, ipv6 bool) (name string, addr netip.Addr, err error) {
	links, err := net.Interfaces()
	if err != nil {
		return "", addr, fmt.Errorf("list interfaces: %w", err)
	}
	for _, link := range links {
		addrs, err := link.Addrs()
		if err != nil {
			return "", addr, fmt.Errorf("list addresses of %s: %w", link.Name, err)
		}
		var all []netip.Addr
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && !p.IsSingleIP() {
				all = append(all, p.Addr())
			}
		}
		if !slices.Contains(all, own) {
			continue
		}
		for _, a := range all {
			if a.Is6() == ipv6 && a.IsGlobalUnicast() {
				return link.Name, a, nil
			}
		}
	}
	return "", addr, fmt.Errorf("no interface with %s has an address of the VIP's family to ask from", own)
}
