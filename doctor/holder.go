package doctor

import (
	"net/netip"
	"slices"
)

// judgeHolders looks where on this host VIPs are that vipd did not put there.
func judgeHolders(f *Facts, v *verdict) {
	groups := v.groups(f)
	if _, ok := seen(v, f.Links); !ok {
		return
	}
	for i := range groups {
		g := &groups[i]
		for _, vip := range g.Addresses {
			judgeHolder(f, v, g, vip)
		}
		services, _ := seen(v, f.IPVS)
		for _, s := range services {
			if slices.Contains(g.Addresses, s.Addr()) && s.Port() == g.Port {
				v.found(IPVSServesVIP, Error, s.String(), "the kernel's IPVS takes connections to it, before any API server",
					"'ipvsadm -Ln' shows the service; take the VIP out of the Service's externalIPs or loadBalancerIP")
			}
		}
	}
}

func judgeHolder(f *Facts, v *verdict, g *Group, vip netip.Addr) {
	for _, l := range f.Links.Value {
		there := slices.ContainsFunc(l.Addresses, func(a Address) bool { return a.Prefix.Addr() == vip && a.Prefix.IsSingleIP() })
		switch {
		case !there, l.Name == "lo":
		case l.Name == "kube-ipvs0":
			v.found(VIPElsewhere, Error, vip.String(), "kube-proxy has it on kube-ipvs0: it is an address of a Service, and every node takes packets for it",
				"take the VIP out of the Service's externalIPs or loadBalancerIP; kube-proxy with ipvs wants strictARP: true besides")
		case l.Name != g.Link || g.Announce.Routed():
			v.found(VIPElsewhere, Error, vip.String(), "it is on "+l.Name+", where vipd does not put it", "ip addr del "+vip.String()+" dev "+l.Name+", and find what put it there")
		}
	}
}

// judgeLeftovers looks for what an earlier vipd left behind.
func judgeLeftovers(f *Facts, v *verdict) {
	if f.runs() {
		v.needless("the daemon runs; what is there is its own")
		return
	}
	groups := v.groups(f)
	if _, ok := seen(v, f.Links); !ok {
		return
	}
	for i := range groups {
		g := &groups[i]
		for _, l := range f.Links.Value {
			for _, a := range l.Addresses {
				if (l.Name == g.Link || l.Name == "lo") && a.Prefix.IsSingleIP() && slices.Contains(g.Addresses, a.Prefix.Addr()) {
					judgeLeftover(v, l.Name, a)
				}
			}
		}
	}
	if there, _ := seen(v, f.Rules); there {
		v.found(RulesLeftBehind, Info, "nftables", "the tables vipd are there without a daemon; without elements, which expire, they do nothing", "vipd release removes them; the next start of vipd takes them over")
	}
}

func judgeLeftover(v *verdict, link string, a Address) {
	if a.Finite {
		v.found(VIPLeftBehind, Info, a.Prefix.Addr().String(), "it is on "+link+" without a daemon; the kernel removes it at the end of its lifetime", "nothing; 'vipd release' removes it at once")
		return
	}
	v.found(VIPLeftBehind, Error, a.Prefix.Addr().String(), "it is on "+link+" without a daemon and without a lifetime: this host answers for it, whoever owns it", "vipd release")
}
