package config

import (
	"net/netip"
	"slices"
	"strings"
)

// Difference is what a reload has to bring about. A group stands in exactly
// one of Added, Removed, Changed and Unchanged.
type Difference struct {
	// Added names groups of the new configuration that the old one has not.
	Added []string
	// Removed names groups of the old configuration that the new one has not.
	Removed []string
	// Changed groups are in both.
	Changed []GroupChange
	// Unchanged names the groups that a reload must not touch.
	Unchanged []string
	// Live lists changed keys of the daemon that take effect at once.
	Live []string
	// Restart lists changed keys of the daemon that take effect at its next
	// start.
	Restart []string
}

// GroupChange is how one group differs.
type GroupChange struct {
	// Name is the group's name in the new configuration.
	Name string
	// Was is its name in the old one; other than Name if AspectName is set.
	Was string
	// Keys lists the changed keys inside the group, such as vrrp.priority, in
	// the order of the schema.
	Keys []string
	// Aspects are the parts of the group that the keys belong to.
	Aspects Aspect
	// AddressesAdded and AddressesRemoved are empty when only the order of the
	// addresses changed.
	AddressesAdded, AddressesRemoved []netip.Addr
	// ChecksAdded, ChecksRemoved and ChecksChanged name health checks; all
	// other checks go on with their counts.
	ChecksAdded, ChecksRemoved, ChecksChanged []string
}

// Aspect is a set of parts of a group, each of which a running daemon changes
// on its own.
type Aspect uint16

const (
	// AspectName is what the group is called.
	AspectName Aspect = 1 << iota
	// AspectAddresses is which addresses are held, or their order.
	AspectAddresses
	// AspectInterface is where they are held and adverts go.
	AspectInterface
	// AspectTracking is the interfaces whose carrier counts.
	AspectTracking
	// AspectService is port and endpoint; a change moves nothing.
	AspectService
	// AspectFence is the lifetime of held addresses.
	AspectFence
	// AspectElector is what an election is made of (election, VRID, version,
	// the family of the adverts): a change starts another one.
	AspectElector
	// AspectParameters is intervals, priorities and preemption; the election
	// goes on with them.
	AspectParameters
	// AspectPeers is whom adverts are sent to and taken from.
	AspectPeers
	// AspectChecksum is the form of checksum that is sent.
	AspectChecksum
	// AspectAnnouncing is how held addresses are announced.
	AspectAnnouncing
	// AspectHandover is what becomes of open connections in a move.
	AspectHandover
	// AspectHealth is the checks, and how long bad health is borne.
	AspectHealth
	// AspectNotify is the program that is told of changes.
	AspectNotify
)

// Has reports whether any of the aspects in other is in a.
func (a Aspect) Has(other Aspect) bool { return a&other != 0 }

// String lists the aspects for logs, joined by commas.
func (a Aspect) String() string {
	words := []string{
		"name", "addresses", "interface", "tracking", "service", "fence",
		"elector", "parameters", "peers", "checksum", "announcing", "handover", "health", "notify",
	}
	var set []string
	for i, word := range words {
		if a.Has(1 << i) {
			set = append(set, word)
		}
	}
	return strings.Join(set, ",")
}

// Diff tells what changed from one checked configuration to another. Groups
// are the same when they hold an address in common, because that is what a
// reload must not drop; the name decides only among those, and for groups
// with nothing in common. So taking the first group out of a file whose
// groups have default names renames the others instead of moving them.
func Diff(old, new *Config) Difference {
	var d Difference
	changedKeys("", configKeys(), old, new, func(key string, e effect) {
		switch {
		case key == "vips":
			// Group by group, below.
		case e.restart:
			d.Restart = append(d.Restart, key)
		default:
			d.Live = append(d.Live, key)
		}
	})
	pairs := pairGroups(old.VIPs, new.VIPs)
	for i := range new.VIPs {
		name := new.VIPs[i].Name
		if pairs[i] < 0 {
			d.Added = append(d.Added, name)
			continue
		}
		change := groupChange(&old.VIPs[pairs[i]], &new.VIPs[i])
		if change.Aspects == 0 {
			d.Unchanged = append(d.Unchanged, name)
			continue
		}
		d.Changed = append(d.Changed, change)
	}
	for i := range old.VIPs {
		if !slices.Contains(pairs, i) {
			d.Removed = append(d.Removed, old.VIPs[i].Name)
		}
	}
	return d
}

// pairGroups gives for each new group the index of the old one that it is, -1
// for none. The rules go from the strongest sign of identity to the weakest.
func pairGroups(old, new []VIP) []int {
	pairs := make([]int, len(new))
	for i := range pairs {
		pairs[i] = -1
	}
	rules := []func(a, b *VIP) bool{
		func(a, b *VIP) bool { return a.Name == b.Name && shareAddress(a, b) },
		sameAddresses,
		shareAddress,
		func(a, b *VIP) bool { return a.Name == b.Name },
	}
	for _, pair := range rules {
		for i := range new {
			for j := range old {
				if pairs[i] < 0 && !slices.Contains(pairs, j) && pair(&old[j], &new[i]) {
					pairs[i] = j
				}
			}
		}
	}
	return pairs
}

func shareAddress(a, b *VIP) bool { return len(missing(a.Addresses, b.Addresses)) < len(a.Addresses) }

func sameAddresses(a, b *VIP) bool {
	return len(missing(a.Addresses, b.Addresses)) == 0 && len(missing(b.Addresses, a.Addresses)) == 0
}

func groupChange(old, new *VIP) GroupChange {
	change := GroupChange{
		Name:             new.Name,
		Was:              old.Name,
		AddressesAdded:   missing(new.Addresses, old.Addresses),
		AddressesRemoved: missing(old.Addresses, new.Addresses),
	}
	changedKeys("", vipKeys(), old, new, func(key string, e effect) {
		change.Keys = append(change.Keys, key)
		change.Aspects |= e.group
	})
	if family(carrier(*old)) != family(carrier(*new)) {
		change.Aspects |= AspectElector
	}
	change.compareChecks(old.Health, new.Health)
	return change
}

// compareChecks tells the checks apart by their names, which are unique in a
// group.
func (g *GroupChange) compareChecks(old, new []Check) {
	named := func(checks []Check, name string) int {
		return slices.IndexFunc(checks, func(c Check) bool { return c.Name == name })
	}
	for i := range new {
		switch j := named(old, new[i].Name); {
		case j < 0:
			g.ChecksAdded = append(g.ChecksAdded, new[i].Name)
		case !same(writeKeys(checkKeys(), &old[j], 0), writeKeys(checkKeys(), &new[i], 0)):
			g.ChecksChanged = append(g.ChecksChanged, new[i].Name)
		}
	}
	for _, c := range old {
		if named(new, c.Name) < 0 {
			g.ChecksRemoved = append(g.ChecksRemoved, c.Name)
		}
	}
}

// missing is what of from is not in the other list.
func missing(from, other []netip.Addr) []netip.Addr {
	var out []netip.Addr
	for _, a := range from {
		if !slices.Contains(other, a) {
			out = append(out, a)
		}
	}
	return out
}
