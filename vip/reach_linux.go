package vip

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
)

// maxThird bounds the stations that are asked besides the one in question.
const maxThird = 16

// Station is a host on the segment.
type Station struct {
	Addr netip.Addr
	MAC  net.HardwareAddr
}

// Reached is what a [Prober] learned of who hears this host.
type Reached struct {
	// Hears: the station answered. Unclear: it did not, but a proxy answered in
	// its place.
	Hears, Unclear bool
	// Asked is how many third stations were asked, Third how many answered.
	Asked, Third int
}

// Reach asks whether a station hears this host and, to tell its deafness from
// this host's muteness, asks third stations as well: those given and the
// interface's routers. The question goes by unicast to the
// station's MAC, so that nobody else answers it; a station that has the address
// at another MAC, as virtual routers have, answers the broadcast that follows.
// It takes 60 ms, and up to 120 more when the station does not answer.
func (p *Prober) Reach(ctx context.Context, ifname string, of Station, third []netip.Addr) (Reached, error) {
	var reached Reached
	err := inquire(ctx, ifname, of.Addr.Is4(), func(q *inquiry) error {
		routers, err := q.routers(of.Addr.Is4())
		if err != nil {
			return err
		}
		reached, err = q.reach(ctx, of, thirdStations(of.Addr, q.own, slices.Concat(third, routers)))
		if err != nil || reached.Hears {
			return err
		}
		answer, err := q.whoHas(ctx, of.Addr, q.controls(of.Addr))
		reached.Hears, reached.Unclear = answer.Answered && !answer.AnswersAny, answer.AnswersAny
		return err
	})
	if err != nil {
		return Reached{}, fmt.Errorf("ask %s on %s whether it hears this host: %w", of.Addr, ifname, err)
	}
	return reached, nil
}

// reach asks all at once and listens for as long as an inquiry takes, or until
// all have answered.
func (q *inquiry) reach(ctx context.Context, of Station, third []netip.Addr) (Reached, error) {
	reached := Reached{Asked: len(third)}
	q.directed = of
	open := slices.Clone(third)
	err := q.ask(ctx, append([]netip.Addr{of.Addr}, third...), func(a assertion) (done bool) {
		if a.addr == of.Addr {
			reached.Hears = reached.Hears || slices.Equal(a.mac[:], of.MAC)
		} else {
			open = slices.DeleteFunc(open, func(addr netip.Addr) bool { return addr == a.addr })
		}
		return reached.Hears && len(open) == 0
	})
	q.directed = Station{}
	reached.Third = len(third) - len(open)
	return reached, err
}

// thirdStations are those of a list that can be asked about: of the family of
// the one in question and not that one, not this host, each once.
func thirdStations(of netip.Addr, own []Address, list []netip.Addr) []netip.Addr {
	var third []netip.Addr
	for _, addr := range list {
		mine := slices.ContainsFunc(own, func(a Address) bool { return a.Prefix.Addr() == addr })
		if addr.Is4() == of.Is4() && addr != of && !mine && !slices.Contains(third, addr) && len(third) < maxThird {
			third = append(third, addr)
		}
	}
	return third
}

// routers are the gateways of the routes over the interface.
func (q *inquiry) routers(ipv4 bool) ([]netip.Addr, error) {
	family := netlink.FAMILY_V6
	if ipv4 {
		family = netlink.FAMILY_V4
	}
	routes, err := settled(func() ([]netlink.Route, error) { return q.kernel.RouteList(q.link, family) })
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	var routers []netip.Addr
	for _, r := range routes {
		if addr, ok := netip.AddrFromSlice(r.Gw); ok {
			routers = append(routers, addr.Unmap())
		}
	}
	return routers, nil
}
