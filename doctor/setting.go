package doctor

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/vipd/vipd/config"
)

// Settings are an interface's, as the kernel applies them: the greater of its own
// and that of all (Documentation/networking/ip-sysctl.rst).
type Settings struct {
	ARPIgnore, RPFilter int
	// IPv6Off: disable_ipv6.
	IPv6Off bool
}

// Values of arp_ignore with which a host does not answer for a /32: 2 demands
// that the asking address is of the same subnet as the one asked for, 8 answers
// for none.
const (
	arpIgnoreSubnet = 2
	arpIgnoreAll    = 8
)

// rpFilterStrict drops packets whose way back would leave by another interface
// (RFC 3704 2.2).
const rpFilterStrict = 1

// judgeSettings looks for settings of the interface that keep packets from a VIP.
// Any value of arp_announce is good: whoever holds a VIP silently has it set by
// vipd for that time.
func judgeSettings(f *Facts, v *verdict) {
	groups := v.groups(f)
	settings, ok := seen(v, f.Settings)
	if !ok {
		return
	}
	judged := map[string]bool{}
	for i := range groups {
		g := &groups[i]
		s, known := settings[g.Link]
		if !known || g.Announce.Routed() || judged[g.Link] {
			continue
		}
		judged[g.Link] = true
		judgeIPv4Settings(f, v, g, s)
		if s.IPv6Off && slices.ContainsFunc(g.Addresses, netip.Addr.Is6) {
			v.found(IPv6Off, Error, g.Link, fmt.Sprintf("IPv6 is switched off there, so %s cannot be whole", g.Name), "sysctl -w net.ipv6.conf."+g.Link+".disable_ipv6=0, and in /etc/sysctl.d")
		}
	}
	judgeWaysToRouters(f, v, settings)
}

// RouterLinks are the interfaces that lead to the routers of VIPs behind such, each
// once: those with a subnet of a neighbour, and that of the default route for others
// and where another daemon announces.
func (f *Facts) RouterLinks() []string {
	announces := func(how config.Announce) bool {
		return slices.ContainsFunc(f.Groups, func(g Group) bool { return g.Announce == how })
	}
	var all []string
	add := func(name string) {
		if name != "" && !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	if announces(config.AnnounceBGP) {
		for _, n := range f.Config.BGP.Neighbors {
			add(f.linkTo(n.Address))
		}
	}
	if announces(config.AnnounceLocal) {
		add(f.DefaultRoutes[0])
	}
	return all
}

// linkTo is the interface of the subnet that holds an address, or else that of the
// default route; empty: there is none.
func (f *Facts) linkTo(addr netip.Addr) string {
	for _, link := range f.host() {
		if _, ok := link.Subnet(addr); ok {
			return link.Name
		}
	}
	if addr.Is6() {
		return f.DefaultRoutes[1]
	}
	return f.DefaultRoutes[0]
}

// judgeWaysToRouters looks for interfaces where routers lead clients of a VIP that is
// on lo, and where a drain asks for it. The filter knows IPv4 only.
func judgeWaysToRouters(f *Facts, v *verdict, settings map[string]Settings) {
	for _, name := range f.RouterLinks() {
		i := slices.IndexFunc(f.Groups, func(g Group) bool { return g.Announce.Routed() && slices.ContainsFunc(g.Addresses, netip.Addr.Is4) })
		if i < 0 || settings[name].RPFilter != rpFilterStrict {
			continue
		}
		v.found(RPFilter, Warning, name, fmt.Sprintf("rp_filter is 1 on the way to the routers of %s: a drain cannot ask there who else serves, and packets of clients are dropped whose way back leaves by another interface", f.Groups[i].Name),
			fmt.Sprintf("sysctl -w net.ipv4.conf.all.rp_filter=2 net.ipv4.conf.%s.rp_filter=2, and in /etc/sysctl.d", name))
	}
}

func judgeIPv4Settings(f *Facts, v *verdict, g *Group, s Settings) {
	if !slices.ContainsFunc(g.Addresses, netip.Addr.Is4) {
		return
	}
	if s.ARPIgnore == arpIgnoreSubnet || s.ARPIgnore >= arpIgnoreAll {
		v.found(ARPIgnore, Error, g.Link, fmt.Sprintf("arp_ignore is %d: the kernel does not answer who asks for a VIP, which is a /32", s.ARPIgnore),
			fmt.Sprintf("sysctl -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.%s.arp_ignore=1, and in /etc/sysctl.d; 0 and 1 (kube-proxy's strictARP) are good", g.Link))
	}
	if way := f.DefaultRoutes[0]; s.RPFilter == rpFilterStrict && way != "" && way != g.Link {
		v.found(RPFilter, Warning, g.Link, fmt.Sprintf("rp_filter is 1 and the default route leaves by %s: packets to the VIP from clients behind a router are dropped", way),
			fmt.Sprintf("sysctl -w net.ipv4.conf.all.rp_filter=2 net.ipv4.conf.%s.rp_filter=2, and in /etc/sysctl.d; or a route by %s to those clients", g.Link, g.Link))
	}
}
