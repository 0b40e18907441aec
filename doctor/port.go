package doctor

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/vipd/vipd/config"
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

// need is a port that vipd wants, and what to do when another program has it.
type need struct {
	key   string
	udp   bool
	local netip.AddrPort
	fix   string
}

const (
	anotherPort    = "stop that program, or write another port: "
	withoutAnother = "stop that program. BIRD lets go of the port with `strict bind yes` in `protocol bfd`, if vipd peers from another address (bgp.local_address); FRR's bfdd does not, and excludes bfd in vipd"
)

// needs are the ports that the configuration asks for.
func (f *Facts) needs() []need {
	var all []need
	for _, l := range []struct{ key, at string }{{"metrics.listen", f.Config.Metrics.Listen}, {"readiness.listen", f.Config.Readiness.Listen}} {
		if at, ok := localOf(l.at); ok {
			all = append(all, need{l.key, false, at, anotherPort + l.key})
		}
	}
	if f.Config.Hello.Enabled {
		everywhere := netip.AddrPortFrom(netip.IPv6Unspecified(), f.Config.Hello.Port)
		all = append(all, need{"hello.port", true, everywhere, anotherPort + "hello.port (the same on all nodes)"})
	}
	for _, n := range f.Config.BGP.Neighbors {
		if bfd := bfdOf(n, f.Config.BGP.LocalAddress); n.BFD.Enabled && !slices.Contains(all, bfd) {
			all = append(all, bfd)
		}
	}
	return all
}

// bfdOf is the port on which a neighbour is watched, on the sessions' own address
// where that is configured (RFC 5881 4, RFC 5883 5).
func bfdOf(n config.Neighbor, local netip.Addr) need {
	port := uint16(3784)
	if n.Multihop > 0 {
		port = 4784
	}
	if !local.IsValid() || local.Is6() != n.Address.Is6() {
		local = netip.IPv6Unspecified()
	}
	return need{"bgp.neighbors[].bfd", true, netip.AddrPortFrom(local, port), withoutAnother}
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
			v.found(PortTaken, Error, n.key, fmt.Sprintf("%s has %s", nameOf(s.Program), s.Local), n.fix)
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
