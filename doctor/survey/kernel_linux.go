package survey

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/doctor"
	"github.com/vipd/vipd/election/vrrp"
	"github.com/vipd/vipd/flow"
	"github.com/vipd/vipd/peer"
)

// needsRoot is an error's text; what this user may not do is said in one way, so
// that it is told once.
func needsRoot(err error) string {
	switch {
	case !errors.Is(err, fs.ErrPermission):
		return err.Error()
	case os.Geteuid() != 0:
		return "it needs root: sudo vipd doctor"
	}
	return "it needs what even root may not do here, as in a container: run it on the host itself"
}

// tryKernel asks the kernel what it can do, and looks for rules and listeners.
func (s *survey) tryKernel(ctx context.Context) {
	f := &s.facts
	// Changed settings are not asked for, so nothing is remembered.
	opened, err := flow.New(slog.New(slog.DiscardHandler), os.DevNull)
	if err != nil {
		why := needsRoot(err)
		f.Kernel, f.Rules = doctor.Unknown[doctor.Kernel](why), doctor.Unknown[bool](why)
		for i := range f.Groups {
			f.Groups[i].Listeners = doctor.Unknown[[]netip.Addr](why)
		}
		return
	}
	defer func() { _ = opened.Close() }() // nothing was changed
	f.Kernel = kernel(opened.Features())
	if stands, err := opened.Stands(); err != nil {
		f.Rules = doctor.Unknown[bool](needsRoot(err))
	} else {
		f.Rules = doctor.Known(stands)
	}
	for i := range f.Groups {
		g := &f.Groups[i]
		if at, err := opened.Listeners(ctx, g.Port); err != nil {
			g.Listeners = doctor.Unknown[[]netip.Addr](err.Error())
		} else {
			g.Listeners = doctor.Known(at)
		}
	}
}

// kernel parts what is missing in what is needed and what is not.
func kernel(has flow.Features) doctor.Fact[doctor.Kernel] {
	var k doctor.Kernel
	for _, m := range has.Missing {
		switch {
		case errors.Is(m.Err, fs.ErrPermission):
			return doctor.Unknown[doctor.Kernel](needsRoot(m.Err))
		case m.Feature.Needed():
			k.Missing = append(k.Missing, m.String())
		default:
			k.Lacks = append(k.Lacks, m.String())
		}
	}
	return doctor.Known(k)
}

// tryWaysOut tries packets of each kind that vipd sends on this host's filters.
func (s *survey) tryWaysOut(ctx context.Context) {
	f := &s.facts.WaysOut
	for _, ipv6 := range []bool{false, true} {
		ways, trials := s.trials(ipv6)
		fates, err := flow.Passes(ctx, trials)
		if err != nil {
			f.Missing = needsRoot(err)
			continue
		}
		for i, fate := range fates {
			if fate != nil && !errors.Is(fate, flow.ErrFiltered) {
				f.Missing = needsRoot(fate)
				continue
			}
			ways[i].Passes = fate == nil
			f.Value = append(f.Value, ways[i])
		}
	}
}

// trials are the packets of one family to be tried, and what each stands for.
func (s *survey) trials(ipv6 bool) (ways []doctor.WayOut, trials []flow.Trial) {
	add := func(kind doctor.Traffic, t flow.Trial) {
		w := doctor.WayOut{Traffic: kind, Link: t.Interface, To: t.Dst}
		if !slices.Contains(ways, w) {
			ways, trials = append(ways, w), append(trials, t)
		}
	}
	for i := range s.facts.Groups {
		g := &s.facts.Groups[i]
		if s.usable(g) != "" || g.Announce.Routed() {
			continue
		}
		if own, ok := s.own(g.Link, ipv6); ok && g.Addresses[0].Is6() == ipv6 {
			for _, to := range destinations(g.VRRP.Peers, ipv6, vrrpGroup(ipv6)) {
				add(doctor.Adverts, flow.Trial{Interface: g.Link, Src: netip.AddrPortFrom(own, 0), Dst: netip.AddrPortFrom(to, 0), Protocol: vrrp.Protocol})
			}
			if port := s.config.Hello.Port; s.config.Hello.Enabled {
				peers := slices.Concat(s.config.Hello.Peers, g.VRRP.Peers)
				for _, to := range destinations(peers, ipv6, peer.Group(ipv6)) {
					add(doctor.Hellos, flow.Trial{
						Interface: g.Link, Src: netip.AddrPortFrom(own, port), Dst: netip.AddrPortFrom(to, port), Protocol: unix.IPPROTO_UDP,
					})
				}
			}
		}
		if g.Handover.Preserve && s.config.Hello.Enabled {
			for _, addr := range g.Addresses {
				if to, ok := s.elsewhere(addr); ok && addr.Is6() == ipv6 {
					add(doctor.SecondChance, flow.CopyTrial(g.Link, netip.AddrPortFrom(to, g.Port)))
				}
			}
		}
	}
	return ways, trials
}

func vrrpGroup(ipv6 bool) netip.Addr {
	if ipv6 {
		return vrrp.MulticastIPv6
	}
	return vrrp.MulticastIPv4
}

// destinations are the peers of a family, or else the group.
func destinations(peers []netip.Addr, ipv6 bool, group netip.Addr) []netip.Addr {
	var all []netip.Addr
	for _, p := range peers {
		if p.Is6() == ipv6 {
			all = append(all, p)
		}
	}
	if len(all) == 0 {
		all = append(all, group)
	}
	return all
}

// own is the node's own address of a family on an interface.
func (s *survey) own(link string, ipv6 bool) (netip.Addr, bool) {
	for _, l := range s.facts.Links.Value {
		for _, a := range l.Addresses {
			if addr := a.Prefix.Addr(); l.Name == link && !a.Prefix.IsSingleIP() && addr.Is6() == ipv6 {
				return addr, true
			}
		}
	}
	return netip.Addr{}, false
}

// elsewhere is the VIP where it is on another host, else an address beside it: what
// is sent to an address of this host does not leave it.
func (s *survey) elsewhere(vip netip.Addr) (netip.Addr, bool) {
	e := ears{survey: s}
	for addr := vip; addr.IsValid(); addr = addr.Next() {
		if !e.isOwn(addr) {
			return addr, true
		}
	}
	return vip, false
}
