package agent

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/vipd/vipd/peer"
)

const (
	// adoptWait is how long an adopted shadow leaves the rules of the earlier life
	// as they are: the owner tells its place in the chain.
	adoptWait = 1500 * time.Millisecond
	// bequestWait is how long a stop waits for the kernel.
	bequestWait = time.Second
	// retryRules is the pause before a watch of the rules that failed is begun
	// again.
	retryRules = 5 * time.Second
)

// adoptShadows takes over what an earlier life left in the kernel, and has the
// rest removed.
func (a *Agent) adoptShadows(now time.Time) {
	var addrs []netip.Addr
	for _, g := range a.groups {
		addrs = append(addrs, g.cfg.Addresses...)
	}
	found, err := a.edges.Flows.FindShadows(context.Background(), addrs)
	if err != nil {
		a.log.Warn("what an earlier vipd carries is not known; it ends by itself", "error", err)
	}
	adopted := false
	for _, g := range a.groups {
		left := slices.ContainsFunc(g.cfg.Addresses, func(a netip.Addr) bool { return slices.Contains(found, a) })
		if left && g.becomeShadow(now) {
			g.shadow.adopted, adopted = true, true
			g.log.Info("an earlier vipd on this node was owner; the connections that are open here are carried on")
		}
	}
	if !adopted {
		a.carrier.renew()
		return
	}
	a.renewAt = now.Add(adoptWait)
}

// bequeath leaves to the kernel what this node carries, for what is left of the
// grace: the next life adopts it.
func (a *Agent) bequeath(now time.Time) {
	var version uint64
	for _, g := range a.groups {
		left := g.graceLeft(now)
		if left == 0 || g.wanted {
			continue
		}
		w := g.carriage(now)
		w.lifetime = max(left, flowLifetime)
		version = a.carrier.set(g, w)
		g.log.Info("open connections live on in the kernel until the next start of vipd", "at most", left.Round(time.Second))
	}
	if !a.carrier.settle(version, bequestWait) {
		a.log.Warn("the kernel was not told in time to keep open connections; they may be reset")
	}
}

// watchRules puts rules back that somebody else takes away, until ctx ends. A
// watch that fails is begun again; each error is told once.
func (a *Agent) watchRules(ctx context.Context) {
	told := map[string]bool{}
	for {
		err := a.edges.Flows.WatchRules(ctx, a.carrier.renew)
		if ctx.Err() != nil {
			return
		}
		if err != nil && !told[err.Error()] {
			told[err.Error()] = true
			a.log.Warn("rules that somebody else removes would be put back within a second only; the watch is begun again every 5 s", "error", err)
		}
		select {
		case <-time.After(retryRules):
		case <-ctx.Done():
			return
		}
	}
}

// capabilities are what others may rely on.
func (a *Agent) capabilities() peer.Capabilities {
	var c peer.Capabilities
	if a.abilities.IPv4 {
		c |= peer.ForwardsIPv4
	}
	if a.abilities.IPv6 {
		c |= peer.ForwardsIPv6
	}
	if a.abilities.IPv4 || a.abilities.IPv6 {
		c |= peer.Shadows
	}
	if a.abilities.Resets {
		c |= peer.Resets
	}
	return c
}
