package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Traffic is a kind of packets that vipd sends.
type Traffic string

// The kinds.
const (
	Adverts      Traffic = "adverts (protocol 112)"
	Hellos       Traffic = "hellos (UDP)"
	SecondChance Traffic = "second chance (TCP, untracked)"
)

// WayOut is what this host's filters did to a packet that was made for that.
type WayOut struct {
	Traffic Traffic
	// Link is the interface that it was to leave by, To its destination.
	Link   string
	To     netip.AddrPort
	Passes bool
}

// judgeWaysOut looks what this host's filters do to packets that vipd sends.
func judgeWaysOut(f *Facts, v *verdict) {
	groups := v.groups(f)
	ways, ok := seen(v, f.WaysOut)
	if ok && len(ways) == 0 && slices.ContainsFunc(groups, func(g Group) bool { return !g.Announce.Routed() }) {
		v.cannot("no VIP has an interface that works")
	}
	for _, w := range ways {
		if w.Passes {
			continue
		}
		subject, evidence := w.Link, fmt.Sprintf("a filter of this host (chain output or postrouting) drops %s to %s", w.Traffic, w.To.Addr())
		switch w.Traffic {
		case Adverts:
			v.found(AdvertsBlocked, Error, subject, evidence+": no other node would hear this one, and both would own the VIP",
				"nft add rule inet filter output meta l4proto 112 accept, or what your firewall calls it")
		case Hellos:
			v.found(HellosBlocked, Warning, subject, evidence+": connections break when the VIP moves",
				fmt.Sprintf("nft add rule inet filter output udp dport %d accept", w.To.Port()))
		default:
			v.found(SecondChanceBlocked, Warning, subject, evidence+": connections that are open on another node break when this one takes the VIP",
				fmt.Sprintf("nft insert rule inet filter output tcp dport %d ct state untracked accept", w.To.Port()))
		}
	}
}

// Kernel is what this host's kernel cannot do.
type Kernel struct {
	// Missing is what keeping connections needs, Lacks what makes it better.
	Missing, Lacks []string
}

// judgeKernel looks for what the kernel cannot do.
func judgeKernel(f *Facts, v *verdict) {
	kernel, _ := seen(v, f.Kernel)
	if len(kernel.Missing) > 0 {
		v.found(HandoverUnsupported, Warning, "kernel", "it cannot keep open connections when a VIP moves: "+strings.Join(kernel.Missing, "; "),
			"modprobe -a nft_socket nft_dup_ipv4 nft_dup_ipv6, in /etc/modules-load.d too; else a kernel with them (5.10 or newer)")
	}
	if len(kernel.Lacks) > 0 {
		v.found(KernelLacks, Info, "kernel", "connections are kept, but it lacks "+strings.Join(kernel.Lacks, "; "),
			"a newer kernel, where it matters: docs/handover.md says what each is for")
	}
}

// judgeHandover looks what the configuration and the daemon say of open
// connections.
func judgeHandover(f *Facts, v *verdict) {
	groups := v.groups(f)
	for i := range groups {
		g := &groups[i]
		status := f.status(g.Name)
		switch {
		case g.Announce.Routed():
		case !g.Handover.Preserve:
			v.found(HandoverOff, Info, g.Name, "handover.preserve is false: open connections end when the VIP moves", "vips[].handover.preserve: true on all nodes, then 'vipd reload'")
		case !f.Config.Hello.Enabled:
			v.found(HandoverOff, Info, g.Name, "hello.enabled is false, so nodes do not know each other: open connections end when the VIP moves", "hello.enabled: true on all nodes, then 'vipd reload'")
		case status != nil && !status.Handover.Supported:
			v.found(HandoverEnds, Warning, g.Name, "open connections end when the VIP moves: "+status.Handover.Reason, "do what the reason says; docs/handover.md explains each")
		}
	}
}

// judgeListeners looks whether what listens for a group's port takes connections
// to the VIP, wherever it is.
func judgeListeners(f *Facts, v *verdict) {
	groups := v.groups(f)
	for i := range groups {
		g := &groups[i]
		at, ok := seen(v, g.Listeners)
		if !ok || len(at) == 0 {
			continue
		}
		for _, vip := range g.Addresses {
			judgeListener(v, g, vip, at)
		}
	}
}

func judgeListener(v *verdict, g *Group, vip netip.Addr, at []netip.Addr) {
	subject := netip.AddrPortFrom(vip, g.Port).String()
	// The unspecified address of IPv6 takes IPv4 too, unless IPV6_V6ONLY is set.
	all := slices.ContainsFunc(at, func(a netip.Addr) bool { return a.IsUnspecified() && (a.Is6() || vip.Is4()) })
	switch {
	case slices.Contains(at, vip):
		v.found(APIServerBindsVIP, Error, subject, "a program listens at the VIP itself: it cannot start where the VIP is not, and takes packets of connections that another node has",
			"let the API server listen at all addresses: no --bind-address, or 0.0.0.0 or ::")
	case !all:
		v.found(APIServerMissesVIP, Error, subject, fmt.Sprintf("what listens for port %d does so at %s only: who comes by the VIP is refused", g.Port, list(at)),
			"let the API server listen at all addresses: no --bind-address, or 0.0.0.0 or ::")
	}
}
