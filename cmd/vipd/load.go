package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"

	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/peer"
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

// readKeys reads the key file of the configuration; without one there are no
// keys.
func readKeys(c *config.Config) (*peer.Keyring, error) {
	if c.AuthKeyFile == "" {
		return nil, nil
	}
	content, err := os.ReadFile(c.AuthKeyFile)
	if err != nil {
		return nil, fmt.Errorf("auth_key_file: %w", err)
	}
	keys, err := peer.NewKeyring(content, c.Cluster)
	if err != nil {
		return nil, fmt.Errorf("auth_key_file: %s: %w; openssl rand -base64 48 makes a good one", c.AuthKeyFile, err)
	}
	return keys, nil
}

// loadForRun is load for a daemon that runs: it looks whether the key file is
// good, too, and uses as many processors as the configuration needs.
func (g *globals) loadForRun() (*config.Config, error) {
	c, err := g.load()
	if err != nil {
		return nil, err
	}
	if _, err := readKeys(c); err != nil {
		return nil, err
	}
	useProcessors(c)
	return c, nil
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
