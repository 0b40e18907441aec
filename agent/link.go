package agent

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/election"
	"github.com/vipd/vipd/election/vrrp"
)

// retryJoin is the pause before an interface whose socket could not be opened is
// tried again.
const retryJoin = time.Second

// Interface is the present state of a network interface.
type Interface struct {
	Name  string
	Index int
	// MAC is zero on interfaces without an Ethernet address.
	MAC [6]byte
	// Up: administratively up, and with carrier.
	Up        bool
	Addresses []Address
}

// Address is an address on an interface.
type Address struct {
	Prefix netip.Prefix
	// Unusable: it cannot be sent from yet, or was found to be a duplicate.
	Unusable bool
}

// has tells whether an address is on the interface.
func (i Interface) has(addr netip.Addr) bool {
	return slices.ContainsFunc(i.Addresses, func(a Address) bool { return a.Prefix.Addr() == addr })
}

// link is an interface that groups live on.
type link struct {
	name    string
	index   int
	sockets [2]AdvertSocket
	// refused is what the sockets had refused when they were asked last.
	refused [2]map[string]uint64
	// hellos are the ports for hellos by family; nil: none is needed, or it could
	// not be opened.
	hellos [2]*helloPort
	// groups by family and VRID.
	groups [2][256]*group
	// endClaims ends the watch for other claimants.
	endClaims func()
}

func family(ipv6 bool) int {
	if ipv6 {
		return 1
	}
	return 0
}

func (a *Agent) interfaceChanged(now time.Time, i Interface) {
	a.interfaces[i.Name], a.view, a.announcing.stale = i, nil, true
	a.relinkAll(now)
	for _, g := range a.groups {
		if g.link != nil && g.link.name == i.Name {
			g.reseat(now)
		}
	}
}

func (a *Agent) interfaceGone(now time.Time, name string) {
	delete(a.interfaces, name)
	a.view, a.announcing.stale = nil, true
	a.relinkAll(now)
}

// relinkAll brings all groups in line with the interfaces as they are. Those of
// an interface that is gone leave it together: one that stayed would keep its
// dead sockets alive for the others to come back to.
func (a *Agent) relinkAll(now time.Time) {
	a.recogniseSelf()
	for _, g := range a.groups {
		if g.link != nil && a.interfaces[g.link.name].Index != g.link.index {
			g.quit(now, cause{reason: election.NoInterface, detail: g.link.name + " was removed"})
		}
	}
	for _, g := range a.groups {
		g.relink(now, election.NoInterface)
	}
}

// relink brings the group in line with the interfaces as they are. moved is the
// reason if they give it another one.
func (g *group) relink(now time.Time, moved election.Reason) {
	if !g.agent.known {
		return
	}
	g.rejoinAt = time.Time{}
	if g.everywhere() {
		g.relinkEverywhere(now)
		return
	}
	g.placeMembers(now)
	i, own, fault := g.place()
	if g.link != nil && g.link.name != i.Name {
		detail := "the VIP is not to be on " + g.link.name + " any more"
		g.quit(now, cause{reason: moved, detail: detail})
	}
	if fault.reason == "" && g.link == nil {
		fault = g.join(now, i)
	}
	if fault.reason != "" {
		g.setFault(now, fault)
		return
	}
	g.fault = cause{}
	if g.own != own {
		g.own = own
		g.step(now, vrrp.Configure{Config: g.prepare()})
	}
	g.inherit(now)
	g.step(now, vrrp.LinkUp{Own: own})
}

// quit takes the group off an interface that it cannot stay on.
func (g *group) quit(now time.Time, why cause) {
	g.step(now, vrrp.LinkDown{Reason: why.reason, Detail: why.detail})
	g.unlink()
}

// reseat looks whether the interface's own address came behind the VIP.
func (g *group) reseat(now time.Time) {
	if g.holds() {
		g.order(now, order{hold: true, reseat: true})
	}
}

func (g *group) setFault(now time.Time, fault cause) {
	if g.fault == fault {
		return
	}
	if g.fault.reason != fault.reason {
		g.why = fault
		g.why.told = g.shown.state == StateFault
	}
	g.fault = fault
	g.step(now, vrrp.LinkDown{Reason: fault.reason, Detail: fault.detail})
}

// place finds the group's interface and the address to advertise from, or says
// why there is none.
func (g *group) place() (i Interface, own netip.Addr, fault cause) {
	name, ok := config.ResolveInterface(g.cfg, g.agent.host())
	if !ok {
		return i, own, cause{reason: election.NoInterface, detail: fmt.Sprintf("no interface has a subnet that holds %v; set vips[].interface", g.cfg.Addresses[0])}
	}
	i, ok = g.agent.interfaces[name]
	if !ok {
		return i, own, cause{reason: election.NoInterface, detail: "there is no interface " + name}
	}
	if !i.Up {
		return i, own, cause{reason: election.NoCarrier, detail: name + " is down or has no link"}
	}
	for _, t := range g.cfg.TrackInterfaces {
		if !g.agent.interfaces[t].Up {
			return i, own, cause{reason: election.TrackedInterface, detail: t + " is down or has no link"}
		}
	}
	if fault, ok := g.conflict(i); ok {
		return i, own, fault
	}
	own = g.chooseOwn(i)
	if !own.IsValid() {
		return i, own, cause{reason: election.NoAddress, detail: fmt.Sprintf("%s has no %s of its own to advertise from", name, g.wantedAddress())}
	}
	return i, own, cause{}
}

// conflict tells whether a VIP of the group is the node's own address on i.
func (g *group) conflict(i Interface) (fault cause, ok bool) {
	for _, a := range i.Addresses {
		if slices.Contains(g.cfg.Addresses, a.Prefix.Addr()) && !a.Prefix.IsSingleIP() {
			return cause{reason: election.AddressConflict, detail: fmt.Sprintf("%v is configured on %s as the node's own address; a VIP must be an address that no node has", a.Prefix, i.Name)}, true
		}
	}
	return cause{}, false
}

// host is what configuration needs to know of the interfaces.
func (a *Agent) host() []config.Interface {
	if a.view != nil {
		return a.view
	}
	all := make([]config.Interface, 0, len(a.interfaces))
	for _, i := range a.interfaces {
		one := config.Interface{Name: i.Name}
		for _, addr := range i.Addresses {
			one.Prefixes = append(one.Prefixes, addr.Prefix)
		}
		all = append(all, one)
	}
	slices.SortFunc(all, func(x, y config.Interface) int { return a.interfaces[x.Name].Index - a.interfaces[y.Name].Index })
	a.view = all
	return all
}

// chooseOwn picks the address to advertise from. One that is in use stays: the
// tie rule goes by it. Over IPv6 it is link-local (RFC 9568 5.1.2.1), unless
// the peers are not.
func (g *group) chooseOwn(i Interface) netip.Addr {
	var fit []netip.Prefix
	for _, a := range i.Addresses {
		if !a.Unusable && g.canAdvertiseFrom(a.Prefix.Addr()) {
			fit = append(fit, a.Prefix)
		}
	}
	better := func(p netip.Prefix) int {
		switch {
		case p.Addr() == g.own:
			return 0
		case !p.IsSingleIP() && p.Contains(g.cfg.Addresses[0]):
			return 1
		case !p.IsSingleIP():
			return 2
		}
		return 3
	}
	slices.SortStableFunc(fit, func(x, y netip.Prefix) int { return better(x) - better(y) })
	if len(fit) == 0 {
		return netip.Addr{}
	}
	return fit[0].Addr()
}

func (g *group) canAdvertiseFrom(a netip.Addr) bool {
	if a.Is6() != g.ipv6() {
		return false
	}
	if _, vip := (*g.agent.watched.Load())[a]; vip {
		return false
	}
	return a.Is4() || a.IsLinkLocalUnicast() == g.fromLinkLocal()
}

// fromLinkLocal tells whether IPv6 adverts come from a link-local address:
// unicast to peers with other addresses needs one of that kind.
func (g *group) fromLinkLocal() bool {
	for _, p := range g.listed() {
		if p.Is6() && !p.IsLinkLocalUnicast() {
			return false
		}
	}
	return true
}

func (g *group) wantedAddress() string {
	switch {
	case !g.ipv6():
		return "IPv4 address"
	case g.fromLinkLocal():
		return "IPv6 link-local address"
	}
	return "global IPv6 address"
}

// join puts the group on an interface: it opens what is needed there. What
// cannot be had is tried again.
func (g *group) join(now time.Time, i Interface) cause {
	a, f := g.agent, family(g.ipv6())
	g.rejoinAt = now.Add(retryJoin)
	l, ok := a.links[i.Name]
	if !ok {
		l = a.newLink(i)
	}
	if other := l.groups[f][g.cfg.VRRP.VRID]; other != nil {
		return cause{reason: election.NoInterface, detail: fmt.Sprintf("%s is on %s with the same VRID, %d; give one of them another", other.cfg.Name, i.Name, g.cfg.VRRP.VRID)}
	}
	if l.sockets[f] == nil {
		s, err := a.edges.Sockets.Open(i.Name, g.ipv6(), a.wake)
		if err != nil {
			a.dropIfUnused(l)
			return cause{reason: election.NoInterface, detail: fmt.Sprintf("open the advert socket on %s: %v", i.Name, err)}
		}
		l.sockets[f] = s
	}
	l.groups[f][g.cfg.VRRP.VRID] = g
	g.link = l
	a.cluster.stale = true
	g.rejoinAt = time.Time{}
	l.setMulticast(f)
	return cause{}
}

func (a *Agent) newLink(i Interface) *link {
	l := &link{name: i.Name, index: i.Index}
	a.links[i.Name] = l
	l.endClaims = a.spawn(func(ctx context.Context) { a.watchClaims(ctx, l.name) })
	return l
}

// unlink takes the group off its interface.
func (g *group) unlink() {
	if g.link == nil {
		return
	}
	l, f := g.link, family(g.ipv6())
	if l.groups[f][g.cfg.VRRP.VRID] == g {
		l.groups[f][g.cfg.VRRP.VRID] = nil
	}
	g.link = nil
	g.hello.forget()
	g.agent.cluster.stale = true
	l.setMulticast(f)
	g.agent.dropIfUnused(l)
}

// setMulticast joins the VRRP group while a group on the link needs it.
func (l *link) setMulticast(f int) {
	s := l.sockets[f]
	if s == nil {
		return
	}
	needed := slices.ContainsFunc(l.groups[f][:], func(g *group) bool { return g != nil && !g.unicast() })
	if err := s.Multicast(needed); err != nil {
		for _, g := range l.groups[f] {
			if g != nil {
				g.log.Warn("the VRRP multicast group cannot be joined; adverts may be missed behind switches that snoop", "interface", l.name, "error", err)
			}
		}
	}
}

func (a *Agent) dropIfUnused(l *link) {
	for _, groups := range l.groups {
		if slices.ContainsFunc(groups[:], func(g *group) bool { return g != nil }) {
			return
		}
	}
	a.closeLink(l)
}

func (a *Agent) closeLink(l *link) {
	l.endClaims()
	a.countRefused(l)
	for _, s := range l.sockets {
		if s == nil {
			continue
		}
		if err := s.Close(); err != nil {
			a.log.Warn("close the advert socket", "interface", l.name, "error", err)
		}
	}
	for f := range l.hellos {
		a.closeHellos(l, f)
	}
	delete(a.links, l.name)
}

func (a *Agent) closeLinks() {
	for _, l := range a.links {
		a.closeLink(l)
	}
}

// followPeers follows peers_file, in place of one that is followed already.
func (g *group) followPeers() {
	if g.endFollowing != nil {
		g.endFollowing()
	}
	g.endFollowing = func() {}
	path, a := g.cfg.VRRP.PeersFile, g.agent
	if path == "" {
		g.filePeers = nil
		return
	}
	g.endFollowing = a.spawn(func(ctx context.Context) {
		err := a.edges.Files.Follow(ctx, path, func(content []byte, err error) {
			a.Post(ctx, peersRead{group: g, path: path, content: content, err: err})
		})
		if err != nil && ctx.Err() == nil {
			g.log.Warn("peers_file is not followed any more", "file", path, "error", err)
		}
	})
}

// peersRead takes over a peers file. A bad one changes nothing.
func (g *group) peersRead(now time.Time, ev peersRead) {
	if ev.path != g.cfg.VRRP.PeersFile {
		return
	}
	peers, err := config.ReadPeers(ev.content)
	if err == nil {
		err = g.agent.config.CheckPeers(g.cfg, peers)
	}
	if ev.err != nil {
		err = ev.err
	}
	if err != nil {
		g.log.Warn("peers_file cannot be used; the peers stay as they were", "file", ev.path, "error", err, "peers", g.peers())
		return
	}
	if slices.Equal(peers, g.filePeers) {
		return
	}
	g.filePeers = peers
	g.log.Info("peers changed", "file", ev.path, "peers", g.peers())
	g.step(now, vrrp.Configure{Config: g.prepare()})
	g.relink(now, election.NoInterface)
}
