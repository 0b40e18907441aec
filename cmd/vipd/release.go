package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"

	"github.com/spf13/cobra"

	"github.com/vipd/vipd/bgp/path"
	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/control"
	"github.com/vipd/vipd/flow"
	"github.com/vipd/vipd/internal/instance"
	"github.com/vipd/vipd/vip"
)

// holder takes VIPs off this host.
type holder interface {
	// Find tells which of addrs stand where, by interface, as /32 or /128.
	Find(addrs []netip.Addr) (map[string][]netip.Addr, error)
	// Release takes addrs off an interface. It is idempotent, and nil means
	// they are off.
	Release(ctx context.Context, ifname string, addrs []netip.Addr) error
	Close() error
}

// remover takes the rules for open connections off this host, and puts changed
// settings of its interfaces back.
type remover interface {
	Remove(ctx context.Context) error
	Close() error
}

func openRules(memory string) (remover, error) {
	return flow.New(slog.New(slog.DiscardHandler), memory)
}

func openHolder() (holder, error) { return vip.NewHolder() }

func newReleaseCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "release",
		Short: "Remove every address and rule that a dead daemon left on this host",
		Long: "Remove every address of the configuration's VIPs that stands on an interface of this host\n" +
			"as /32 or /128, however it got there, the nftables tables `vipd`, and settings of interfaces\n" +
			"that the daemon changed: for rescue and for removing the package. It refuses while the\n" +
			"daemon runs; to give VIPs up then, use 'vipd drain'.",
		RunE: func(c *cobra.Command, _ []string) error { return g.release(c.Context()) },
	}
}

// release does not look at the host as check does: what is wrong with the
// configuration here must not keep an address on the host.
func (g *globals) release(ctx context.Context) error {
	c, err := config.Load(g.configPath)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	if err := g.refuseWhileRunning(ctx); err != nil {
		return err
	}
	// No daemon may start while its addresses are taken away.
	lock, err := instance.Acquire(c.StateDir)
	if errors.Is(err, instance.ErrRunning) {
		return fmt.Errorf("%w; stop the daemon first: systemctl stop vipd", err)
	}
	if err != nil {
		return err
	}
	return errors.Join(g.removeAll(ctx, c), g.removeRules(ctx, c), path.Sweep(), lock.Release())
}

func (g *globals) removeRules(ctx context.Context, c *config.Config) error {
	rules, err := g.openRules(memoryOf(c))
	if err != nil {
		return fmt.Errorf("remove the rules for open connections: %w", err)
	}
	return errors.Join(rules.Remove(ctx), rules.Close())
}

// refuseWhileRunning returns nil only when surely no daemon listens.
func (g *globals) refuseWhileRunning(ctx context.Context) error {
	client := g.client()
	defer client.Close()
	status, err := client.Status(ctx)
	switch {
	case errors.Is(err, control.ErrNotRunning):
		return nil
	case err != nil:
		return fmt.Errorf("the daemon may be running, so nothing was removed: %w", err)
	}
	return fmt.Errorf("vipd is running (pid %d), and would put its addresses back; stop it first (systemctl stop vipd), or use 'vipd drain'", status.PID)
}

func (g *globals) removeAll(ctx context.Context, c *config.Config) (err error) {
	holder, err := g.openHolder()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, holder.Close()) }()
	var addrs []netip.Addr
	for _, v := range c.VIPs {
		addrs = append(addrs, v.Addresses...)
	}
	found, err := holder.Find(addrs)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		fmt.Fprintf(g.stdout, "Nothing to remove: no VIP of %s is on this host.\n", g.configPath)
		return nil
	}
	var failed []error
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if err := holder.Release(ctx, name, found[name]); err != nil {
			failed = append(failed, err)
			continue
		}
		for _, a := range found[name] {
			fmt.Fprintf(g.stdout, "Removed %s from %s.\n", a, name)
		}
	}
	return errors.Join(failed...)
}
