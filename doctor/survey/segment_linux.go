package survey

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vipd/vipd/doctor"
	"github.com/vipd/vipd/election/vrrp"
	"github.com/vipd/vipd/election/vrrp/rawsock"
	"github.com/vipd/vipd/peer"
	"github.com/vipd/vipd/peer/udp"
	"github.com/vipd/vipd/vip"
)

// maxListen bounds how long slow adverts are waited for.
const maxListen = 15 * time.Second

// usable tells whether packets can be exchanged on the group's interface; else why
// not.
func (s *survey) usable(g *doctor.Group) string {
	i := slices.IndexFunc(s.facts.Links.Value, func(l doctor.Link) bool { return l.Name == g.Link })
	switch {
	case s.facts.Links.Missing != "":
		return s.facts.Links.Missing
	case g.Link == "":
		return "no interface was found for " + g.Name
	case i < 0:
		return "there is no interface " + g.Link
	case !s.facts.Links.Value[i].Up:
		return g.Link + " has no carrier"
	}
	return ""
}

// askSegment asks for each VIP.
func (s *survey) askSegment(ctx context.Context, g *doctor.Group) {
	g.Answers = map[netip.Addr]doctor.Fact[doctor.Answer]{}
	var prober vip.Prober
	for _, addr := range g.Addresses {
		if why := s.usable(g); why != "" {
			g.Answers[addr] = doctor.Unknown[doctor.Answer](why)
			continue
		}
		answer, err := prober.Probe(ctx, g.Link, addr)
		if err != nil {
			g.Answers[addr] = doctor.Unknown[doctor.Answer](needsRoot(err))
			continue
		}
		seen := doctor.Answer{Proxy: answer.AnswersAny}
		if answer.Answered {
			seen.MAC = answer.MAC.String()
		}
		g.Answers[addr] = doctor.Known(seen)
	}
}

// seat is where groups talk: an interface, and the family of their adverts.
type seat struct {
	link string
	ipv6 bool
}

// seats are the groups by where they talk, without those that cannot: these say
// why.
func (s *survey) seats() map[seat][]*doctor.Group {
	all := map[seat][]*doctor.Group{}
	for i := range s.facts.Groups {
		g := &s.facts.Groups[i]
		if why := s.usable(g); why != "" {
			g.Segment = doctor.Unknown[doctor.Segment](why)
			continue
		}
		at := seat{g.Link, g.Addresses[0].Is6()}
		all[at] = append(all[at], g)
	}
	return all
}

// overhear listens to the others of groups, once for all of a seat: the port of
// hellos can be had once.
func (s *survey) overhear(ctx context.Context, at seat, groups []*doctor.Group) {
	patience := s.Listen
	for _, g := range groups { // who advertises slowly is heard as well
		patience = max(patience, min(2*g.VRRP.AdvertInterval, maxListen))
	}
	heard := s.heard(ctx, at, patience)
	for _, g := range groups {
		g.Segment = heard
	}
}

// heard is what the others of a seat said, as long as patience lasts.
func (s *survey) heard(ctx context.Context, at seat, patience time.Duration) doctor.Fact[doctor.Segment] {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	e := ears{survey: s, seat: at, port: s.config.Hello.Port}
	var work errgroup.Group
	work.Go(func() error { return e.adverts(ctx) })
	if s.config.Hello.Enabled {
		work.Go(func() error { return e.hellos(ctx) })
		e.segment.Delivered = doctor.Unknown[[]netip.Addr]("the daemon has the port of hellos, and tells of them itself")
		if s.pid() == 0 {
			work.Go(func() error { e.delivered(ctx); return nil })
		}
	}
	if err := work.Wait(); err != nil {
		return doctor.Unknown[doctor.Segment](needsRoot(err))
	}
	e.segment.Listened = patience.Round(time.Millisecond)
	return doctor.Known(e.segment)
}

// ears listen at one seat.
type ears struct {
	seat
	survey  *survey
	port    uint16
	segment doctor.Segment
}

// adverts notes each sender and virtual router once.
func (e *ears) adverts(ctx context.Context) error {
	socket, err := rawsock.Open(rawsock.Options{Interface: e.link, IPv6: e.ipv6})
	if err != nil {
		return err
	}
	defer func() { _ = socket.Close() }() // it was only listened to
	if err := socket.Multicast(true); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- socket.Run(ctx) }()
	var frame vrrp.Frame
	var advert vrrp.Packet
	for {
		for socket.Receive(&frame) {
			if vrrp.Parse(&frame, &advert) == nil {
				e.note(&frame, &advert)
			}
		}
		select {
		case <-socket.Ready():
		case err := <-ended:
			return err
		}
	}
}

func (e *ears) note(f *vrrp.Frame, p *vrrp.Packet) {
	heard := doctor.Advert{
		From: f.Src, MAC: net.HardwareAddr(f.MAC[:]).String(), VRID: p.VRID, Version: versionOf(p.Version),
		Addresses: slices.Clone(p.Addresses),
	}
	if !slices.ContainsFunc(e.segment.Adverts, func(a doctor.Advert) bool { return a.From == heard.From && a.VRID == heard.VRID }) {
		e.segment.Adverts = append(e.segment.Adverts, heard)
	}
}

func versionOf(v vrrp.Version) int {
	if v == vrrp.Version2 {
		return 2
	}
	return 3
}

// hellos notes each sender once, with all VIPs that it speaks of.
func (e *ears) hellos(ctx context.Context) error {
	var parser peer.Parser
	var hello peer.Hello
	return udp.Overhear(ctx, udp.Options{Interface: e.link, IPv6: e.ipv6, Port: e.port}, func(src netip.Addr, payload []byte) {
		if parser.Overhear(payload, &hello) != nil || e.isOwn(src) {
			return
		}
		i := slices.IndexFunc(e.segment.Hellos, func(h doctor.Hello) bool { return h.From == src })
		if i < 0 {
			e.segment.Hellos = append(e.segment.Hellos, doctor.Hello{From: src, Node: hello.Name, MAC: net.HardwareAddr(hello.Link.MAC[:]).String()})
			i = len(e.segment.Hellos) - 1
		}
		for _, said := range hello.Statements {
			for _, addr := range said.VIPs {
				if h := &e.segment.Hellos[i]; !slices.Contains(h.VIPs, addr) {
					h.VIPs = append(h.VIPs, addr)
				}
			}
		}
	})
}

// isOwn tells whether an address is on this host.
func (e *ears) isOwn(addr netip.Addr) bool {
	return slices.ContainsFunc(e.survey.facts.Links.Value, func(l doctor.Link) bool {
		return slices.ContainsFunc(l.Addresses, func(a doctor.Address) bool { return a.Prefix.Addr() == addr })
	})
}

// delivered notes whose hellos come through this host's filters to a socket.
func (e *ears) delivered(ctx context.Context) {
	from, err := e.receive(ctx)
	if err != nil {
		e.segment.Delivered = doctor.Unknown[[]netip.Addr](needsRoot(err))
		return
	}
	e.segment.Delivered = doctor.Known(from)
}

func (e *ears) receive(ctx context.Context) ([]netip.Addr, error) {
	socket, err := udp.Open(udp.Options{Interface: e.link, IPv6: e.ipv6, Port: e.port})
	if err != nil {
		return nil, err
	}
	defer func() { _ = socket.Close() }() // it was only listened to
	if err := socket.Multicast(true); err != nil {
		return nil, fmt.Errorf("join the group of hellos: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- socket.Run(ctx) }()
	var from []netip.Addr
	for {
		var d peer.Datagram
		for socket.Receive(&d) {
			if !slices.Contains(from, d.Src) {
				from = append(from, d.Src)
			}
		}
		select {
		case <-socket.Ready():
		case err := <-ended:
			return from, err
		}
	}
}
