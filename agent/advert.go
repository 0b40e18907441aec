package agent

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/vipd/vipd/election/vrrp"
)

const (
	// framesPerTurn bounds the work of one turn of the loop under a flood.
	framesPerTurn = 4096
	// repeatPause keeps what goes on and on to a line a minute.
	repeatPause = time.Minute
	// strayFresh is how long an advert that was not for this node explains why it
	// hears none.
	strayFresh = time.Minute
)

// awake makes the loop look at its sockets.
func (a *Agent) awake() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// receive empties the queues of all sockets.
func (a *Agent) receive(now time.Time) {
	for _, l := range a.links {
		for f, s := range l.sockets {
			if s == nil {
				continue
			}
			n := 0
			for n < framesPerTurn && s.Receive(&a.frame) {
				n++
				a.deliver(now, l, f)
			}
			if n == framesPerTurn {
				a.awake()
			}
		}
	}
}

// countRefused adds what the link's sockets refused below VRRP since they were
// asked last.
func (a *Agent) countRefused(l *link) {
	for f, s := range l.sockets {
		if s == nil {
			continue
		}
		refused := s.Refused()
		for reason, n := range refused {
			if d := n - l.refused[f][reason]; d > 0 {
				a.discarded[reason] += d
			}
		}
		l.refused[f] = refused
	}
}

// deliver hands the frame in a.frame to its group.
func (a *Agent) deliver(now time.Time, l *link, f int) {
	if err := vrrp.Parse(&a.frame, &a.packet); err != nil {
		a.discard(err.Error())
		return
	}
	g := l.groups[f][a.packet.VRID]
	if g == nil {
		a.discard("unknown-vrid")
		a.noteStray(now, l.groups[f][:])
		return
	}
	if !a.frame.Dst.IsMulticast() && !a.interfaces[l.name].has(a.frame.Dst) {
		a.discard("in-transit")
		return
	}
	if g.unicast() && !g.isPeer() {
		a.discard("unknown-peer")
		g.stray = stray{from: a.frame.Src, vrid: a.packet.VRID, at: now}
		return
	}
	// RFC 3768 7.1: what does not match the configured authentication is discarded.
	if a.packet.Version == vrrp.Version2 && a.packet.Password != g.password {
		a.discard("password")
		g.stray = stray{from: a.frame.Src, vrid: a.packet.VRID, password: true, at: now}
		return
	}
	g.counters.AdvertsReceived.Add(1)
	g.counters.lastAdvert.Store(int64(now.Sub(a.started)))
	g.noteAdvertiser(now, a.frame.Src)
	g.advertFrom, g.advertMAC = a.frame.Src, a.frame.MAC
	g.step(now, vrrp.Advert{From: a.frame.Src, Packet: &a.packet})
}

// stray is an advert for this group's VIP that this node does not process.
type stray struct {
	from netip.Addr
	vrid uint8
	// password: it came with another one, or with none.
	password bool
	at       time.Time
}

// noteStray remembers, for the groups whose VIP the advert at hand lists, that
// it came with another VRID.
func (a *Agent) noteStray(now time.Time, groups []*group) {
	for _, g := range groups {
		if g != nil && slices.Contains(a.packet.Addresses, g.advertised[0]) {
			g.stray = stray{from: a.frame.Src, vrid: a.packet.VRID, at: now}
		}
	}
}

// whyUnheard is the likely cause that no adverts of a VIP in use are heard, and
// its mend.
func (g *group) whyUnheard(now time.Time) string {
	switch s := g.stray; {
	case s.at.IsZero() || now.Sub(s.at) >= strayFresh:
		return "if a member has it, its adverts do not arrive: look at multicast filters, or at its list of peers"
	case s.vrid != g.cfg.VRRP.VRID:
		return fmt.Sprintf("%v advertises it with VRID %d, this node has %d: make vrrp.vrid equal", s.from, s.vrid, g.cfg.VRRP.VRID)
	case s.password:
		return fmt.Sprintf("%v advertises it in version 2 with another password: make vrrp.password equal to the others' (keepalived: auth_pass, none without auth_type PASS)", s.from)
	default:
		return fmt.Sprintf("%v advertises it, and is not in this node's vrrp.peers or peers_file, nor a member of etcd if those are its peers", s.from)
	}
}

// discard counts a packet that is not processed. It is never logged: anyone on
// the segment can send it, which is also why it allocates nothing.
func (a *Agent) discard(reason string) { a.discarded[reason]++ }

// publishDiscarded lets readers see what was discarded up to now.
func (a *Agent) publishDiscarded() {
	for _, l := range a.links {
		a.countRefused(l)
		for _, p := range l.hellos {
			if p != nil {
				a.countRefusedHellos(p)
			}
		}
	}
	all, hellos := maps.Clone(a.discarded), maps.Clone(a.cluster.discarded)
	a.loop.Discarded.Store(&all)
	a.loop.HellosDiscarded.Store(&hellos)
}

// isPeer tells whether the frame at hand comes from a listed peer.
func (g *group) isPeer() bool {
	src := g.agent.frame.Src
	return slices.Contains(g.cfg.VRRP.Peers, src) || slices.Contains(g.filePeers, src) ||
		g.cfg.VRRP.EtcdPeers && (slices.Contains(g.memberPeers, src) || g.hears(src))
}

// sender is the MAC from which the frame at hand came.
func (g *group) sender() string { return net.HardwareAddr(g.agent.frame.MAC[:]).String() }

// sendAdvert sends the advert to the multicast group or to each peer.
func (g *group) sendAdvert(now time.Time, s *vrrp.SendAdvert) {
	if g.link == nil {
		return
	}
	socket := g.link.sockets[family(g.ipv6())]
	p := vrrp.Packet{
		Version: s.Version, VRID: g.cfg.VRRP.VRID, Priority: s.Priority, Interval: s.Interval,
		Addresses: g.advertised, Checksum: s.Checksum, Password: g.password,
	}
	if !g.unicast() {
		dst := vrrp.MulticastIPv4
		if g.ipv6() {
			dst = vrrp.MulticastIPv6
		}
		g.buffer = p.Append(g.buffer[:0], g.own, dst)
		g.sent(now, socket.Send(g.own, dst, g.buffer))
	}
	for _, dst := range g.unicastTo {
		g.buffer = p.Append(g.buffer[:0], g.own, dst)
		g.sent(now, socket.Send(g.own, dst, g.buffer))
	}
	g.counters.AdvertsSent.Add(1)
	g.counters.lastAdvert.Store(int64(now.Sub(g.agent.started)))
}

func (g *group) sent(now time.Time, err error) {
	if err == nil {
		return
	}
	if !g.sendErrorAt.IsZero() && now.Sub(g.sendErrorAt) < repeatPause {
		return
	}
	g.sendErrorAt = now
	g.log.Warn("an advert could not be sent; other nodes may take the VIP over", "interface", g.link.name, "error", err)
}
