package agent

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/election"
	"github.com/vipd/vipd/election/vrrp"
)

// Reload reads the configuration anew and applies what differs. A bad file
// changes nothing; its error names the lines.
func (a *Agent) Reload(ctx context.Context) error {
	a.reloading.Lock()
	defer a.reloading.Unlock()
	next, err := a.opts.Load()
	if err != nil {
		a.loop.ReloadOK.Store(false)
		return fmt.Errorf("the running configuration is kept: %w", err)
	}
	var stopping, marked bool
	err = a.ask(ctx, func() {
		if stopping = a.shutdown != nil; stopping {
			return
		}
		before := a.drained
		a.reconfigure(time.Now(), next)
		marked = !maps.Equal(before, a.drained)
	})
	switch {
	case err != nil:
		return err
	case stopping:
		return ErrStopping
	case marked:
		return a.storeMark(ctx)
	}
	return nil
}

// reconfigure applies the difference to the running groups. Unchanged ones are
// not touched.
func (a *Agent) reconfigure(now time.Time, next *config.Config) {
	diff := config.Diff(a.config, next)
	since, drained := a.drainedSince()
	// Names may pass from group to group, so each is found by its old one before
	// any has a new one.
	groups := map[string]*group{}
	for _, g := range a.groups {
		groups[g.cfg.Name] = g
	}
	keyed := a.config.AuthKeyFile != next.AuthKeyFile || a.config.Cluster != next.Cluster
	a.config, a.drained = next, renamed(a.drained, diff)
	a.watch()
	if a.edges.Leases != nil {
		a.edges.Leases.Use(next.Etcd)
	}
	a.reviseMembers()
	a.reviseHello(now, keyed)
	for _, name := range diff.Removed {
		a.removeGroup(now, groups[name])
	}
	for _, change := range diff.Changed {
		a.changeGroup(now, groups[change.Was], change, *vipNamed(next, change.Name))
	}
	for _, name := range diff.Added {
		if drained {
			a.drained[name] = since
		}
		a.joinDrains(now, a.addGroup(now, *vipNamed(next, name)))
	}
	a.moveLeases(now)
	a.reviseRoutes(now) // what departs does so by the former configuration
	slices.SortStableFunc(a.groups, func(x, y *group) int { return place(next, x) - place(next, y) })
	for _, g := range a.groups {
		g.placeMembers(now)
		g.handover.passing.forget() // the firewall may have been mended
		g.carry(now)
	}
	a.loop.reloaded(now)
	a.opts.LogLevel.Set(next.Log.Level)
	a.log.Info("configuration reloaded", "added", diff.Added, "removed", diff.Removed, "changed", changes(diff), "unchanged", diff.Unchanged)
	if len(diff.Restart) > 0 {
		a.log.Warn("some keys take effect at the next start of vipd", "keys", diff.Restart)
	}
}

func changes(d config.Difference) []string {
	all := make([]string, 0, len(d.Changed))
	for _, c := range d.Changed {
		all = append(all, fmt.Sprintf("%s: %v", c.Name, c.Keys))
	}
	return all
}

// renamed is the drained mark after a reload: a mark follows its group.
func renamed(d Drained, diff config.Difference) Drained {
	next := maps.Clone(d)
	for _, name := range diff.Removed {
		delete(next, name)
	}
	for _, c := range diff.Changed {
		delete(next, c.Was)
	}
	for _, c := range diff.Changed {
		if since, ok := d[c.Was]; ok {
			next[c.Name] = since
		}
	}
	return next
}

func vipNamed(c *config.Config, name string) *config.VIP {
	i := slices.IndexFunc(c.VIPs, func(v config.VIP) bool { return v.Name == name })
	return &c.VIPs[i]
}

func place(c *config.Config, g *group) int {
	return slices.IndexFunc(c.VIPs, func(v config.VIP) bool { return v.Name == g.cfg.Name })
}

// replaceGroup ends a group and begins it anew.
func (a *Agent) replaceGroup(now time.Time, g *group, v config.VIP) {
	a.removeGroup(now, g)
	a.succeedInDrains(now, g, a.addGroup(now, v))
}

// changeGroup applies a change to a group that goes on. A group whose elector
// changes starts anew.
func (a *Agent) changeGroup(now time.Time, g *group, change config.GroupChange, v config.VIP) {
	if change.Aspects.Has(config.AspectElector) || g.standsAnew(v) {
		a.replaceGroup(now, g, v)
		return
	}
	if change.Aspects.Has(config.AspectAddresses|config.AspectInterface) || v.Port != g.cfg.Port || !v.Handover.Preserve {
		g.dropShadow(now, EndUnkept)
	}
	g.cfg = v
	if g.shadow.casts() {
		g.shadow.graceEnds = g.shadow.since.Add(v.Handover.Grace)
	}
	g.log = a.log.With("vip", v.Name)
	if change.Aspects.Has(config.AspectAnnouncing) {
		g.announcements.revise(now, v.GARP)
	}
	if change.Aspects.Has(config.AspectHealth | config.AspectService | config.AspectAddresses) {
		g.reviseHealth(now)
	}
	if change.Aspects.Has(config.AspectPeers) {
		g.followPeers()
	}
	if m := g.machine.lease; m != nil {
		m.Revise(v.Etcd.TTL, v.Etcd.WithoutEtcd == config.WithoutEtcdKeep, v.Fence)
		m.Readdress(now, v.Addresses)
	}
	g.step(now, vrrp.Configure{Config: g.prepare()})
	if g.link != nil {
		g.link.setMulticast(family(g.ipv6()))
	}
	if change.Aspects.Has(config.AspectAddresses|config.AspectFence) && g.wanted {
		g.rehold(now, change)
	}
	if change.Aspects.Has(config.AspectInterface | config.AspectTracking | config.AspectAddresses | config.AspectPeers) {
		g.relink(now, election.Reloaded)
	}
}

// rehold holds the addresses as they are to be now. Those that stay are not
// touched.
func (g *group) rehold(now time.Time, change config.GroupChange) {
	// An owner that was late and listens lets go of all: what it has to hold then
	// it is told when it goes on.
	o := order{hold: g.machine.State() != vrrp.Listening, announce: true}
	switch {
	case len(change.AddressesRemoved) == 0:
	case g.cfg.Announce == config.AnnounceBGP && len(g.held) > 0:
		g.agent.depart(now, g, without(g.held, g.cfg.Addresses))
	default:
		o.drop = []placed{{interfaceName: g.seat(), addrs: change.AddressesRemoved}}
	}
	g.order(now, o)
	if len(change.AddressesAdded) > 0 && g.holds() && !g.cfg.Announce.Routed() {
		g.announcements.begin(now, time.Time{})
	}
}

// reviseHealth changes the checks; those that stay keep their verdicts.
func (g *group) reviseHealth(now time.Time) {
	before := g.fitness.healthy()
	g.fitness.checks.Revise(now, g.cfg.UnhealthyDelay, rules(g.cfg))
	g.fitness.show(now, g.cfg)
	g.watchHealth()
	if g.fitness.healthy() != before {
		g.judge(now)
	}
}
