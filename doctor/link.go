package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vipd/vipd/config"
)

// Link is an interface of this host.
type Link struct {
	Name string
	// Up: it has carrier.
	Up        bool
	Addresses []Address
}

// Address is one of an interface.
type Address struct {
	// Prefix has the length of the subnet, and is not masked.
	Prefix netip.Prefix
	// Finite: the kernel removes it by itself.
	Finite bool
}

// host are the interfaces as package config wants them.
func (f *Facts) host() []config.Interface {
	all := make([]config.Interface, 0, len(f.Links.Value))
	for _, l := range f.Links.Value {
		i := config.Interface{Name: l.Name}
		for _, a := range l.Addresses {
			i.Prefixes = append(i.Prefixes, a.Prefix)
		}
		all = append(all, i)
	}
	return all
}

// link finds an interface; nil: there is none.
func (f *Facts) link(name string) *Link {
	i := slices.IndexFunc(f.Links.Value, func(l Link) bool { return l.Name == name })
	if i < 0 {
		return nil
	}
	return &f.Links.Value[i]
}

// judgeLinks looks for the interface of each group, its carrier and its subnet.
func judgeLinks(f *Facts, v *verdict) {
	groups := v.groups(f)
	if _, ok := seen(v, f.Links); !ok {
		return
	}
	for i := range groups {
		g := &groups[i]
		if g.elects() {
			judgeSeat(f, v, g)
		}
		for _, name := range g.TrackInterfaces {
			judgeLink(f, v, g, name)
		}
	}
}

// judgeSeat looks at where a group's adverts and addresses go.
func judgeSeat(f *Facts, v *verdict, g *Group) {
	if g.Link == "" {
		v.found(NoSubnet, Error, g.Name, fmt.Sprintf("no interface has a subnet with %s; there are %s", g.Addresses[0], inventory(f.Links.Value)),
			"give the interface its address, or name it: vips[].interface; the VIP must be of the nodes' own subnet")
		return
	}
	link := judgeLink(f, v, g, g.Link)
	if link == nil {
		return
	}
	if !slices.ContainsFunc(link.Addresses, func(a Address) bool { return own(a.Prefix) && a.Prefix.Addr().Is6() == g.isIPv6() }) {
		v.found(NoOwnAddress, Error, g.Link, fmt.Sprintf("it has no %s address of its own, which the adverts of %s would come from", family(g.isIPv6()), g.Name),
			"give the node an address on "+g.Link+", or choose another interface: vips[].interface")
		return
	}
	seat := f.host()[slices.IndexFunc(f.Links.Value, func(l Link) bool { return l.Name == g.Link })]
	for _, vip := range g.Addresses {
		if _, ok := seat.Subnet(vip); !ok && !g.Announce.Routed() {
			v.found(VIPOffSubnet, Warning, vip.String(), fmt.Sprintf("no subnet of %s holds it, so hosts there send packets for it to a router, which has to route it to the owner", g.Link),
				"choose a VIP of the subnet of "+g.Link+", or announce it by BGP (docs/bgp.md)")
		}
	}
	judgeRivalLinks(f, v, g)
}

// judgeLink looks whether an interface is there and has carrier.
func judgeLink(f *Facts, v *verdict, g *Group, name string) *Link {
	link := f.link(name)
	switch {
	case link == nil:
		v.found(InterfaceMissing, Error, name, fmt.Sprintf("%s wants it and this host does not have it; there are %s", g.Name, inventory(f.Links.Value)),
			"correct vips[].interface or track_interfaces in "+f.Path+", or make the interface")
	case !link.Up:
		v.found(NoCarrier, Error, name, "it is down or has no carrier; "+g.Name+" is at fault as long as that lasts",
			"ip link set "+name+" up; else look at cable, switch port and driver: ip -s link show "+name)
	}
	return link
}

// judgeRivalLinks looks for other interfaces that the group could be meant for.
func judgeRivalLinks(f *Facts, v *verdict, g *Group) {
	if g.Interface != "" {
		return
	}
	length := -1
	var same []string
	for _, i := range f.host() {
		p, ok := i.Subnet(g.Addresses[0])
		switch {
		case ok && p.Bits() > length:
			length, same = p.Bits(), []string{i.Name}
		case ok && p.Bits() == length:
			same = append(same, i.Name)
		}
	}
	if len(same) > 1 {
		v.found(InterfaceAmbiguous, Warning, g.Name, fmt.Sprintf("%s have the same subnet with %s; %s is taken", strings.Join(same, " and "), g.Addresses[0], g.Link),
			"write the one that is meant: vips[].interface")
	}
}

// own tells whether an address is the node's: a VIP has full length.
func own(p netip.Prefix) bool { return p.IsValid() && !p.IsSingleIP() }

func family(ipv6 bool) string {
	if ipv6 {
		return "IPv6"
	}
	return "IPv4"
}

// inventory lists interfaces with their subnets.
func inventory(links []Link) string {
	all := make([]string, 0, len(links))
	for _, l := range links {
		if l.Name == "lo" {
			continue
		}
		text := l.Name
		for _, a := range l.Addresses {
			if own(a.Prefix) && !a.Prefix.Addr().IsLinkLocalUnicast() {
				text += " " + a.Prefix.String()
			}
		}
		all = append(all, text)
	}
	if len(all) == 0 {
		return "none but the loopback"
	}
	return strings.Join(all, ", ")
}
