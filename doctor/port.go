package doctor

import (
	"fmt"
	"net/netip"
)

// Socket is a port that is taken on this host.
type Socket struct {
	// UDP: it is UDP's, else TCP's.
	UDP bool
	// Local may be of the unspecified address.
	Local netip.AddrPort
	// Program is empty where it cannot be told.
	Program Program
	// Ours: it is the daemon's, or its speaker's.
	Ours bool
}

// need is a port that vipd wants.
type need struct {
	key   string
	udp   bool
	local netip.AddrPort
}

// needs are the ports that the configuration asks for.
func (f *Facts) needs() []need {
	var all []need
	for _, l := range []struct{ key, at string }{{"metrics.listen", f.Config.Metrics.Listen}, {"readiness.listen", f.Config.Readiness.Listen}} {
		if at, ok := localOf(l.at); ok {
			all = append(all, need{l.key, false, at})
		}
	}
	if f.Config.Hello.Enabled {
		all = append(all, need{"hello.port", true, netip.AddrPortFrom(netip.IPv6Unspecified(), f.Config.Hello.Port)})
	}
	for _, n := range f.Config.BGP.Neighbors {
		if n.BFD.Enabled {
			// RFC 5881 section 4 and RFC 5883 section 5.
			port := uint16(3784)
			if n.Multihop > 0 {
				port = 4784
			}
			all = append(all, need{"bgp.neighbors[].bfd", true, netip.AddrPortFrom(netip.IPv6Unspecified(), port)})
		}
	}
	return all
}

// localOf reads host:port; a host that is no address may be any.
func localOf(text string) (netip.AddrPort, bool) {
	if text == "" {
		return netip.AddrPort{}, false
	}
	if at, err := netip.ParseAddrPort(text); err == nil {
		return at, true
	}
	at, err := netip.ParseAddrPort("[::]" + text[lastColon(text):])
	return at, err == nil
}

func lastColon(text string) int {
	for i := len(text) - 1; i >= 0; i-- {
		if text[i] == ':' {
			return i
		}
	}
	return len(text)
}

// judgePorts looks for ports that others have.
func judgePorts(f *Facts, v *verdict) {
	v.groups(f)
	sockets, _ := seen(v, f.Sockets)
	if f.Config == nil {
		return
	}
	for _, n := range f.needs() {
		for _, s := range sockets {
			if s.Ours || s.UDP != n.udp || s.Local.Port() != n.local.Port() || !overlap(s.Local.Addr(), n.local.Addr()) {
				continue
			}
			if s.Program.PID == 0 && f.runs() {
				v.cannot("whose port of " + n.key + " is may be seen by root only: sudo vipd doctor")
				break
			}
			v.found(PortTaken, Error, n.key, fmt.Sprintf("%s has %s", nameOf(s.Program), s.Local), "stop that program, or write another port: "+n.key+" (hello.port the same on all nodes)")
			break
		}
	}
}

// overlap tells whether two sockets of one port exclude each other.
func overlap(a, b netip.Addr) bool { return a == b || a.IsUnspecified() || b.IsUnspecified() }

func nameOf(p Program) string {
	if p.Name == "" {
		return "another program (see 'ss -lnp')"
	}
	return fmt.Sprintf("%s (pid %d)", p.Name, p.PID)
}
