package gobgp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	api "github.com/osrg/gobgp/v3/api"
	"github.com/osrg/gobgp/v3/pkg/apiutil"
	wire "github.com/osrg/gobgp/v3/pkg/packet/bgp"

	"github.com/vipd/vipd/bgp"
)

// announced is a route as it stands in the RIB, with its next hop.
type announced struct {
	bgp.Route
	nextHop netip.Addr
}

func (a announced) equal(o announced) bool { return a.nextHop == o.nextHop && a.Equal(o.Route) }

// Announce brings the RIB to exactly the given routes. It is idempotent, and
// looks at what stands there rather than remembering it.
func (s *Session) Announce(routes []bgp.Route) error {
	s.announcing.Lock()
	defer s.announcing.Unlock()
	standing, err := s.standing()
	if err != nil {
		return fmt.Errorf("list what is announced to %s: %w", s.neighbor.Address, err)
	}
	var errs []error
	isVIP := func(a netip.Addr) bool {
		return slices.ContainsFunc(routes, func(r bgp.Route) bool { return r.Prefix.Addr() == a })
	}
	wanted := make([]announced, 0, len(routes))
	for _, r := range routes {
		a, err := s.prepare(r, isVIP)
		if err != nil {
			errs = append(errs, fmt.Errorf("announce %s to %s: %w", r.Prefix, s.neighbor.Address, err))
			continue
		}
		wanted = append(wanted, a)
	}
	for _, a := range standing {
		if !slices.ContainsFunc(wanted, func(w announced) bool { return w.Prefix == a.Prefix }) {
			errs = append(errs, s.withdraw(a))
		}
	}
	for _, w := range wanted {
		if !slices.ContainsFunc(standing, w.equal) {
			errs = append(errs, s.add(w))
		}
	}
	return errors.Join(errs...)
}

// Announced are the routes that the router was told, in the order of their
// addresses: none without a session, and none of a family that it did not agree
// to (RFC 4760 8).
func (s *Session) Announced() ([]bgp.Route, error) {
	if s.State().State != bgp.Established {
		return nil, nil
	}
	told, err := s.list(api.TableType_ADJ_OUT)
	standing, listed := s.standing()
	if err = errors.Join(err, listed); err != nil {
		return nil, fmt.Errorf("list what is announced to %s: %w", s.neighbor.Address, err)
	}
	var routes []bgp.Route
	for _, a := range standing {
		if slices.ContainsFunc(told, func(o announced) bool { return o.Prefix == a.Prefix }) {
			routes = append(routes, a.Route)
		}
	}
	return routes, nil
}

// prepare drops of a route what the neighbour is not told, and adds the next
// hop.
func (s *Session) prepare(r bgp.Route, isVIP func(netip.Addr) bool) (announced, error) {
	if s.neighbor.Internal(s.local.ASN) {
		// An internal neighbour would take its own AS number in the path for a
		// loop (RFC 4271 9.1.2).
		r.Prepend = 0
	} else {
		r.LocalPreference = 0
	}
	hop, err := nextHop(s.neighbor, r.Prefix.Addr().Is6(), isVIP)
	return announced{Route: r, nextHop: hop}, err
}

func (s *Session) add(a announced) error {
	path, err := s.path(a, false)
	if err == nil {
		_, err = s.server.AddPath(context.Background(), &api.AddPathRequest{TableType: api.TableType_GLOBAL, Path: path})
	}
	if err != nil {
		return fmt.Errorf("announce %s to %s: %w", a.Prefix, s.neighbor.Address, err)
	}
	return nil
}

func (s *Session) withdraw(a announced) error {
	path, err := s.path(a, true)
	if err == nil {
		err = s.server.DeletePath(context.Background(), &api.DeletePathRequest{TableType: api.TableType_GLOBAL, Path: path})
	}
	if err != nil {
		return fmt.Errorf("withdraw %s from %s: %w", a.Prefix, s.neighbor.Address, err)
	}
	return nil
}

func (s *Session) path(a announced, withdraw bool) (*api.Path, error) {
	const originIGP = 0 // RFC 4271 5.1.1
	attributes := []wire.PathAttributeInterface{wire.NewPathAttributeOrigin(originIGP)}
	if a.Prepend > 0 {
		asns := slices.Repeat([]uint32{s.local.ASN}, a.Prepend)
		sequence := wire.NewAs4PathParam(wire.BGP_ASPATH_ATTR_TYPE_SEQ, asns)
		attributes = append(attributes, wire.NewPathAttributeAsPath([]wire.AsPathParamInterface{sequence}))
	}
	var nlri wire.AddrPrefixInterface
	if addr := a.Prefix.Addr(); addr.Is4() {
		nlri = wire.NewIPAddrPrefix(uint8(a.Prefix.Bits()), addr.String()) //nolint:gosec // 32 at most
		attributes = append(attributes, wire.NewPathAttributeNextHop(a.nextHop.String()))
	} else {
		nlri = wire.NewIPv6AddrPrefix(uint8(a.Prefix.Bits()), addr.String()) //nolint:gosec // 128 at most
		attributes = append(attributes, wire.NewPathAttributeMpReachNLRI(a.nextHop.String(), []wire.AddrPrefixInterface{nlri}))
	}
	attributes = append(attributes, wire.NewPathAttributeMultiExitDisc(a.MED))
	if s.neighbor.Internal(s.local.ASN) {
		attributes = append(attributes, wire.NewPathAttributeLocalPref(a.LocalPreference))
	}
	if len(a.Communities) > 0 {
		values := make([]uint32, len(a.Communities))
		for i, c := range a.Communities {
			values[i] = uint32(c)
		}
		attributes = append(attributes, wire.NewPathAttributeCommunities(values))
	}
	if len(a.LargeCommunities) > 0 {
		values := make([]*wire.LargeCommunity, len(a.LargeCommunities))
		for i, c := range a.LargeCommunities {
			values[i] = wire.NewLargeCommunity(c.Administrator, c.Data1, c.Data2)
		}
		attributes = append(attributes, wire.NewPathAttributeLargeCommunities(values))
	}
	return apiutil.NewPath(nlri, withdraw, attributes, time.Now())
}

// standing reads the RIB, in the order of addresses.
func (s *Session) standing() ([]announced, error) { return s.list(api.TableType_GLOBAL) }

// list reads one of the server's tables.
func (s *Session) list(table api.TableType) ([]announced, error) {
	var all []announced
	errs := make([]error, 0, 2)
	for _, f := range families() {
		request := &api.ListPathRequest{TableType: table, Family: f}
		if table == api.TableType_ADJ_OUT {
			request.Name = s.neighbor.Address.String()
		}
		err := s.server.ListPath(context.Background(), request, func(d *api.Destination) {
			for _, p := range d.Paths {
				a, err := read(p)
				all, errs = append(all, a), append(errs, err)
			}
		})
		errs = append(errs, err)
	}
	slices.SortFunc(all, func(a, b announced) int { return a.Prefix.Addr().Compare(b.Prefix.Addr()) })
	return all, errors.Join(errs...)
}

// read is what path writes, read back.
func read(p *api.Path) (announced, error) {
	var a announced
	nlri, err := apiutil.GetNativeNlri(p)
	if err != nil {
		return a, err
	}
	if a.Prefix, err = netip.ParsePrefix(nlri.String()); err != nil {
		return a, err
	}
	attributes, err := apiutil.GetNativePathAttributes(p)
	if err != nil {
		return a, err
	}
	for _, attribute := range attributes {
		switch v := attribute.(type) {
		case *wire.PathAttributeAsPath:
			for _, segment := range v.Value {
				a.Prepend += len(segment.GetAS())
			}
		case *wire.PathAttributeNextHop:
			a.nextHop = addressOf(v.Value)
		case *wire.PathAttributeMpReachNLRI:
			a.nextHop = addressOf(v.Nexthop)
		case *wire.PathAttributeMultiExitDisc:
			a.MED = v.Value
		case *wire.PathAttributeLocalPref:
			a.LocalPreference = v.Value
		case *wire.PathAttributeCommunities:
			for _, c := range v.Value {
				a.Communities = append(a.Communities, bgp.Community(c))
			}
		case *wire.PathAttributeLargeCommunities:
			for _, c := range v.Values {
				a.LargeCommunities = append(a.LargeCommunities, bgp.LargeCommunity{Administrator: c.ASN, Data1: c.LocalData1, Data2: c.LocalData2})
			}
		}
	}
	return a, nil
}

func addressOf(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip) // nil: no address, which is equal to none
	if ip.To4() != nil {
		return a.Unmap()
	}
	return a
}
