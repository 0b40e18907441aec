package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"

	"github.com/vipd/vipd/config"
)

// load reads the configuration and checks it against this host. The error is
// bad configuration for the exit code.
func (g *globals) load() (*config.Config, error) {
	c, _, err := g.loadWithHost()
	return c, err
}

func (g *globals) loadWithHost() (*config.Config, []config.Interface, error) {
	c, err := config.Load(g.configPath)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = fmt.Errorf("%w; the smallest configuration is one line: vips: [{addresses: [192.0.2.10]}]", err)
		return nil, nil, &exitError{exitUsage, err}
	case err != nil:
		return nil, nil, &exitError{exitUsage, err}
	}
	host, err := g.interfaces()
	if err != nil {
		return nil, nil, err
	}
	if err := config.CheckHost(c, host); err != nil {
		return nil, nil, &exitError{exitUsage, fmt.Errorf("%s does not fit this host:\n%w", g.configPath, err)}
	}
	return c, host, nil
}

// hostInterfaces is what the configuration is checked against.
func hostInterfaces() ([]config.Interface, error) {
	links, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list this host's interfaces: %w", err)
	}
	host := make([]config.Interface, 0, len(links))
	for _, link := range links {
		addrs, err := link.Addrs()
		if err != nil {
			return nil, fmt.Errorf("list the addresses of %s: %w", link.Name, err)
		}
		host = append(host, config.Interface{Name: link.Name, Prefixes: prefixes(addrs)})
	}
	return host, nil
}

func prefixes(addrs []net.Addr) []netip.Prefix {
	all := make([]netip.Prefix, 0, len(addrs))
	for _, a := range addrs {
		network, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		addr, ok := netip.AddrFromSlice(network.IP)
		if !ok {
			continue
		}
		bits, _ := network.Mask.Size()
		all = append(all, netip.PrefixFrom(addr.Unmap(), bits))
	}
	return all
}
