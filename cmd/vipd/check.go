package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/metrics"
)

func newCheckCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Check the configuration and print it with every default filled in",
		Long: "Check the configuration file, also against this host's interfaces, and print it\n" +
			"as YAML with every default filled in, and with the interface on this host that each\n" +
			"VIP belongs to. What is allowed but probably not meant goes\n" +
			"to standard error as a warning. The daemon is not needed.",
		RunE: func(*cobra.Command, []string) error { return g.check() },
	}
}

func (g *globals) check() error {
	c, host, err := g.loadWithHost()
	if err != nil {
		return err
	}
	for _, text := range config.Warnings(c, host) {
		g.warn("%s", text)
	}
	if err := metrics.CheckWebConfig(c.Metrics.WebConfig); err != nil {
		g.warn("%v; there will be no metrics before it is mended", err)
	}
	switch _, err := readKeys(c); {
	case errors.Is(err, fs.ErrPermission):
		g.warn("%v; run vipd check as root to look at it", err)
	case err != nil:
		return &exitError{exitUsage, err}
	}
	for i, v := range c.VIPs {
		// Where there is none, a warning has said so.
		c.VIPs[i].Interface, _ = config.ResolveInterface(v, host)
		if v.VRRP.PeersFile != "" {
			g.checkPeers(c, v, fmt.Sprintf("vips[%d].vrrp.peers_file: %s", i, v.VRRP.PeersFile))
		}
	}
	for i, n := range c.BGP.Neighbors {
		if n.PasswordFile == "" {
			continue
		}
		if _, err := os.Stat(n.PasswordFile); err != nil {
			g.warn("bgp.neighbors[%d].password_file: %v; there is no session with %s without it", i, err, n.Address)
		}
	}
	text, err := config.Marshal(c)
	if err != nil {
		return err
	}
	_, err = g.stdout.Write(text)
	return err
}

// checkPeers warns of a peers file that the daemon would not follow now. It is
// no error: the file may come later, and changes without the configuration.
func (g *globals) checkPeers(c *config.Config, v config.VIP, at string) {
	data, err := os.ReadFile(v.VRRP.PeersFile)
	if err != nil {
		g.warn("%s: %v; no adverts are sent to anyone before it is there", at, err)
		return
	}
	peers, err := config.ReadPeers(data)
	if err == nil {
		err = c.CheckPeers(v, peers)
	}
	if err != nil {
		g.warn("%s: %v", at, err)
	}
}
