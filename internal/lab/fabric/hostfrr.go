package fabric

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/router"
)

// startHostFRR puts the VIPs on lo for good and has FRR announce them, as is
// done without vipd.
func (f *Fabric) startHostFRR(ctx context.Context, h *lab.Host) error {
	for i := range f.Lab.Hosts {
		if f.Lab.Hosts[i] == h {
			return f.runHostFRR(ctx, h, f.asn(i))
		}
	}
	return fmt.Errorf("%s is no host of the fabric", h)
}

func (f *Fabric) runHostFRR(ctx context.Context, h *lab.Host, asn uint32) error {
	p := router.Peering{
		ASN: asn, Connects: true, BFD: f.opts.Peering.BFD, Hold: f.opts.Peering.Hold,
		Nodes: []router.Node{{Address: f.own(f.Lab.Router, f.opts.IPv6Sessions), ASN: RouterASN}},
	}
	for _, vip := range f.opts.VIPs {
		prefix := netip.PrefixFrom(vip, vip.BitLen())
		p.Networks = append(p.Networks, prefix)
		if _, err := h.Run(ctx, "ip", "address", "add", prefix.String(), "dev", "lo"); err != nil {
			return err
		}
	}
	frr, err := router.StartFRR(ctx, h, p)
	f.frrs[h] = frr
	return err
}

// withdraw ends the announcements of a host's FRR, and begins them again.
func (f *Fabric) withdraw(ctx context.Context, h *lab.Host, again bool) error {
	var commands []string
	for i, host := range f.Lab.Hosts {
		if host == h {
			commands = append(commands, fmt.Sprintf("router bgp %d", f.asn(i)))
		}
	}
	for _, vip := range f.opts.VIPs {
		family, no := "ipv4", "no "
		if vip.Is6() {
			family = "ipv6"
		}
		if again {
			no = ""
		}
		commands = append(commands, "address-family "+family+" unicast", no+"network "+netip.PrefixFrom(vip, vip.BitLen()).String(), "exit-address-family")
	}
	return f.frrs[h].Configure(ctx, commands...)
}
