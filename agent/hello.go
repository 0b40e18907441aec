package agent

import (
	"net/netip"
	"slices"
	"time"

	"github.com/vipd/vipd/peer"
)

const (
	// hellosPerTurn bounds the hellos read from one socket in a turn of the loop:
	// a flood of them must not keep adverts waiting.
	hellosPerTurn = 64
	// retryHellos is the pause before a port for hellos that could not be opened
	// is tried again. Nothing urgent waits for it.
	retryHellos = 5 * time.Second
)

// helloPort is where an interface's hellos of one family go in and out.
type helloPort struct {
	HelloSocket
	number uint16
	// openedAt is when it was opened.
	openedAt time.Time
	// multicast: it is a member of the group.
	multicast bool
	// refused is what the socket had refused when it was asked last.
	refused map[string]uint64
	// sendErrorAt is when an error was told last.
	sendErrorAt time.Time
}

// arrangeHellos brings ports and trust in line with groups and configuration.
// Groups without hellos are elected all the same, so a port that cannot be had
// is told once and tried again.
func (a *Agent) arrangeHellos(now time.Time) {
	c := &a.cluster
	if !c.stale && !due(c.retryAt, now) {
		return
	}
	c.stale, c.retryAt = false, time.Time{}
	fault := ""
	for _, l := range a.links {
		for f := range l.hellos {
			if err := a.arrangePort(now, l, f); err != nil {
				fault = err.Error()
				c.retryAt = now.Add(retryHellos)
			}
		}
	}
	if fault != "" && fault != c.fault {
		a.log.Warn("hellos cannot be exchanged; VIPs move all the same, but drains wait for their timeout", "error", fault)
	}
	c.fault = fault
	c.table.Watch(a.segments())
	c.beat.News(now)
}

func (a *Agent) arrangePort(now time.Time, l *link, f int) error {
	var users []*group
	for _, g := range a.groups {
		if g.link == l && family(g.ipv6()) == f && a.config.Hello.Enabled {
			users = append(users, g)
		}
	}
	if p := l.hellos[f]; p != nil && (len(users) == 0 || p.number != a.config.Hello.Port) {
		a.closeHellos(l, f)
	}
	if len(users) == 0 {
		return nil
	}
	if l.hellos[f] == nil {
		s, err := a.edges.Hellos.OpenHello(l.name, f == 1, a.config.Hello.Port, a.wake)
		if err != nil {
			return err
		}
		l.hellos[f] = &helloPort{HelloSocket: s, number: a.config.Hello.Port, openedAt: now}
	}
	needed := slices.ContainsFunc(users, (*group).greetsAll)
	if p := l.hellos[f]; p.multicast != needed {
		if err := p.Multicast(needed); err != nil {
			return err
		}
		p.multicast = needed
	}
	return nil
}

func (a *Agent) closeHellos(l *link, f int) {
	p := l.hellos[f]
	if p == nil {
		return
	}
	a.countRefusedHellos(p)
	if err := p.Close(); err != nil {
		a.log.Warn("close the port for hellos", "interface", l.name, "error", err)
	}
	l.hellos[f] = nil
}

// segments say whose hellos count on each interface.
func (a *Agent) segments() []peer.Segment {
	var all []peer.Segment
	for _, g := range a.groups {
		if g.link == nil {
			continue
		}
		i := slices.IndexFunc(all, func(s peer.Segment) bool { return s.Interface == g.link.name })
		if i < 0 {
			i = len(all)
			all = append(all, peer.Segment{Interface: g.link.name})
		}
		s := &all[i]
		if g.greetsAll() {
			s.Open = true
			s.VIPs = append(s.VIPs, g.cfg.Addresses...)
		}
		s.Listed = append(s.Listed, g.greeted()...)
	}
	return all
}

// greeted are the peers that hellos of the group go to by unicast: those of
// hello.peers if there are any of the family, else those of the adverts.
func (g *group) greeted() []netip.Addr {
	var own []netip.Addr
	for _, p := range g.helloPeers() {
		if p.Is6() == g.ipv6() && p != g.own {
			own = append(own, p)
		}
	}
	if len(own) > 0 || g.helloPeersSet() {
		return own
	}
	return g.peers()
}

// greetsAll tells whether hellos of the group go to the multicast group.
func (g *group) greetsAll() bool { return !g.unicast() && !g.helloPeersSet() }

func (g *group) helloPeersSet() bool {
	return slices.ContainsFunc(g.helloPeers(), func(p netip.Addr) bool { return p.Is6() == g.ipv6() })
}

// helloPeers are those of hello.peers, of both families.
func (g *group) helloPeers() []netip.Addr {
	c := g.agent.config.Hello
	if !c.EtcdPeers {
		return c.Peers
	}
	return slices.Concat(c.Peers, g.memberPeers)
}

// port is where the group's hellos go in and out; nil: there is none.
func (g *group) port() *helloPort {
	if g.link == nil {
		return nil
	}
	return g.link.hellos[family(g.ipv6())]
}

// receiveHellos takes in what peers say. What they did not say is judged only
// when all that they did was read.
func (a *Agent) receiveHellos(now time.Time) {
	a.arrangeHellos(now)
	c := &a.cluster
	heard, emptied := false, true
	for _, l := range a.links {
		for _, p := range l.hellos {
			if p == nil {
				continue
			}
			n := 0
			for n < hellosPerTurn && p.Receive(&c.datagram) {
				n++
				a.hearHello(now)
			}
			heard = heard || n > 0
			if n == hellosPerTurn {
				emptied = false
				a.awake()
			}
		}
	}
	if emptied && due(c.table.Deadline(), now) {
		a.learn(now, c.table.Tick(now))
		heard = true
	}
	if heard {
		a.consider(now)
	}
}

// hearHello judges the hello in a.cluster.datagram.
func (a *Agent) hearHello(now time.Time) {
	c := &a.cluster
	a.loop.HellosReceived.Add(1)
	changes, err := c.table.Received(now, &c.datagram)
	if err != nil {
		c.discarded[err.Error()]++
	}
	a.learn(now, changes)
}

// sayHello tells the others what this node does, when it is due.
func (a *Agent) sayHello(now time.Time) {
	a.arrangeHellos(now)
	c := &a.cluster
	speaks := false
	for _, g := range a.groups {
		if g.port() == nil {
			continue
		}
		speaks = true
		if f := g.facts(now); f != g.hello.said {
			g.hello.said = f
			c.beat.News(now)
		}
	}
	if c.speaks = speaks; speaks && c.beat.Due(now) {
		a.sendHellos(now)
	}
}

// farewell tells the others that this daemon stops.
func (a *Agent) farewell(now time.Time) {
	a.cluster.hello.Stopping = true
	for _, g := range a.groups {
		g.hello.said = g.facts(now)
	}
	a.sendHellos(now)
}

// sendHellos sends a hello from each address that adverts are sent from: a peer
// finds the two to be of one node by that.
func (a *Agent) sendHellos(now time.Time) {
	c := &a.cluster
	c.table.Greet(now, &c.hello)
	for i, g := range a.groups {
		p := g.port()
		if p == nil || !g.own.IsValid() || slices.ContainsFunc(a.groups[:i], g.sharesHello) {
			continue
		}
		g.fillHello(&c.hello)
		everybody, peers := false, c.peers[:0]
		for _, o := range a.groups[i:] {
			if o != g && !o.sharesHello(g) {
				continue
			}
			c.hello.Statements = append(c.hello.Statements, o.statement(now))
			everybody = everybody || o.greetsAll()
			for _, dst := range o.greeted() {
				if !slices.Contains(peers, dst) {
					peers = append(peers, dst)
				}
			}
		}
		if everybody {
			peers = append(peers, peer.Group(g.ipv6()))
		}
		c.sender.Each(&c.hello, g.own, func(datagram []byte) {
			for _, dst := range peers {
				a.sentHello(now, g, p, p.Send(g.own, dst, datagram))
			}
		})
		c.peers = peers
	}
}

// sharesHello tells whether one hello speaks of both groups.
func (g *group) sharesHello(o *group) bool {
	return g.link != nil && g.link == o.link && g.own == o.own
}

func (a *Agent) sentHello(now time.Time, g *group, p *helloPort, err error) {
	if err == nil {
		a.loop.HellosSent.Add(1)
		return
	}
	if !p.sendErrorAt.IsZero() && now.Sub(p.sendErrorAt) < repeatPause {
		return
	}
	p.sendErrorAt = now
	g.log.Warn("a hello could not be sent", "interface", g.link.name, "error", err)
}

// helloDeadline is when hellos need the loop; zero: not.
func (a *Agent) helloDeadline() time.Time {
	c := &a.cluster
	d := earliest(c.table.Deadline(), c.retryAt)
	if !c.speaks {
		return d
	}
	beat := c.beat.Deadline()
	if beat.IsZero() {
		beat = a.started
	}
	return earliest(d, beat)
}

func (a *Agent) countRefusedHellos(p *helloPort) {
	refused := p.Refused()
	for reason, n := range refused {
		if d := n - p.refused[reason]; d > 0 {
			a.cluster.discarded[reason] += d
		}
	}
	p.refused = refused
}
