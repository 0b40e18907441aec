package config

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Interface is what CheckHost needs to know of an interface of this host.
type Interface struct {
	Name string
	// Prefixes are its addresses with the length of their subnet. An address
	// of full length (/32, /128) counts neither as the node's own nor as a
	// subnet: it may be a VIP that was left behind.
	Prefixes []netip.Prefix
}

// ResolveInterface is the interface of a group: the one it names, which need
// not exist, or else the one with the longest subnet that holds its first
// address. Of two equal ones the first in host is taken. It returns false when
// the group names none and no subnet holds the address. A group without an
// election has no adverts, and is where its addresses are: on lo.
func ResolveInterface(v VIP, host []Interface) (string, bool) {
	if v.Election == ElectionNone {
		return "lo", true
	}
	if v.Interface != "" {
		return v.Interface, true
	}
	best, length := "", -1
	for _, link := range host {
		if p, ok := link.Subnet(carrier(v)); ok && p.Bits() > length {
			best, length = link.Name, p.Bits()
		}
	}
	return best, length >= 0
}

// Subnet is the longest subnet of the interface that holds a; false if it has
// none, and for the loopback.
func (i Interface) Subnet(a netip.Addr) (netip.Prefix, bool) {
	var best netip.Prefix
	for _, p := range i.Prefixes {
		if i.Name != "lo" && own(p) && p.Contains(a) && (!best.IsValid() || p.Bits() > best.Bits()) {
			best = p
		}
	}
	return best, best.IsValid()
}

// own reports whether p is an address of the node itself.
func own(p netip.Prefix) bool { return p.IsValid() && p.Bits() < p.Addr().BitLen() }

// CheckHost reports, as [Problems], what makes a checked configuration wrong on
// a host with these interfaces: a VIP that is the node's own address or no
// address of a host, a VRID used twice on an interface. An interface that is
// missing is no error, because it may appear later; see Warnings.
func CheckHost(c *Config, host []Interface) error {
	f := newFindings("")
	for i, v := range c.VIPs {
		for j, a := range v.Addresses {
			checkHostAddress(f, element(member(element("vips", i), "addresses"), j), a, host)
		}
	}
	checkHostVRIDs(f, c.VIPs, host)
	return f.err()
}

func checkHostAddress(f *findings, key string, a netip.Addr, host []Interface) {
	for _, link := range host {
		for _, p := range link.Prefixes {
			switch {
			case !own(p):
			case p.Addr() == a:
				f.add(key, "%s is this node's own address on %s; a VIP must be an address that no node has", a, link.Name)
				return
			case isNetwork(p, a):
				f.add(key, "%s is the network or broadcast address of %s on %s", a, p.Masked(), link.Name)
				return
			}
		}
	}
}

// isNetwork reports whether a is the first or last address of an IPv4 subnet,
// which hosts cannot have unless the subnet is a /31 (RFC 3021).
func isNetwork(p netip.Prefix, a netip.Addr) bool {
	if !a.Is4() || p.Bits() > 30 || !p.Contains(a) {
		return false
	}
	return a == p.Masked().Addr() || !p.Contains(a.Next())
}

func checkHostVRIDs(f *findings, vips []VIP, host []Interface) {
	seen := map[router]int{}
	for i, v := range vips {
		link, ok := ResolveInterface(v, host)
		if !ok || v.Election == ElectionNone {
			continue
		}
		r := router{link, carrier(v).Is6(), v.VRRP.VRID}
		if first, twice := seen[r]; twice {
			f.add(member(element("vips", i), "vrrp.vrid"), "%d is also the VRID of vips[%d] on %s; write another", r.vrid, first, link)
			continue
		}
		seen[r] = i
	}
}

// Warnings lists what is allowed but probably not meant, each in one line that
// names the key: interfaces and addresses that this host does not have, and
// settings that give up a guarantee.
func Warnings(c *Config, host []Interface) []string {
	var all []string
	for i, v := range c.VIPs {
		for _, w := range slices.Concat(linkWarnings(v, host), settingWarnings(v)) {
			all = append(all, element("vips", i)+"."+w)
		}
	}
	return slices.Concat(all, nameWarnings(c), bgpWarnings(c), sourceWarnings(c, host))
}

// SettingWarnings are those of [Warnings] that no host changes.
func SettingWarnings(c *Config) []string {
	var all []string
	for i, v := range c.VIPs {
		for _, w := range settingWarnings(v) {
			all = append(all, element("vips", i)+"."+w)
		}
	}
	return slices.Concat(all, nameWarnings(c), bgpWarnings(c))
}

func linkWarnings(v VIP, host []Interface) []string {
	var all []string
	named := func(name string) int {
		return slices.IndexFunc(host, func(i Interface) bool { return i.Name == name })
	}
	link, ok := ResolveInterface(v, host)
	switch {
	case v.Election == ElectionNone:
	case !ok:
		all = append(all, fmt.Sprintf("interface: no interface has a subnet with %s; the group waits for one", carrier(v)))
	case named(link) < 0:
		all = append(all, fmt.Sprintf("interface: %s does not exist; the group waits for it", link))
	case !slices.ContainsFunc(host[named(link)].Prefixes, func(p netip.Prefix) bool {
		return own(p) && p.Addr().Is6() == carrier(v).Is6()
	}):
		all = append(all, fmt.Sprintf("interface: %s has no %s address of its own; the group waits for one", link, family(carrier(v))))
	}
	if others := rivals(v, link, host); v.Interface == "" && len(others) > 0 {
		all = append(all, fmt.Sprintf("interface: %s and %s have the same subnet with %s; %s is taken unless you write one", link, others[0], carrier(v), link))
	}
	for i, name := range v.TrackInterfaces {
		if named(name) < 0 {
			all = append(all, element("track_interfaces", i)+": "+name+" does not exist; the group waits for it")
		}
	}
	return all
}

// rivals are the other interfaces with as long a subnet for the group.
func rivals(v VIP, link string, host []Interface) []string {
	length := -1
	for _, i := range host {
		if p, ok := i.Subnet(carrier(v)); ok && i.Name == link {
			length = p.Bits()
		}
	}
	var others []string
	for _, i := range host {
		if p, ok := i.Subnet(carrier(v)); ok && i.Name != link && p.Bits() == length {
			others = append(others, i.Name)
		}
	}
	return others
}

func settingWarnings(v VIP) []string {
	var all []string
	if v.Fence == 0 {
		all = append(all, "fence: 0s leaves the addresses on a node whose daemon died or hangs")
	}
	if v.Fence == time.Second {
		all = append(all, "fence: 1s is lost by a host that is busy for a second; use 2s or more")
	}
	if len(v.Health) == 0 {
		all = append(all, "health: no checks; the group counts as healthy whatever becomes of the service")
	}
	for i, c := range v.Health {
		if c.Insecure {
			all = append(all, element("health", i)+".insecure: the server is not verified")
		}
	}
	return all
}
