package path

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The rules and routes of leads, among those of others (ip-rule(8), ip-route(8)).
// The rules come before that of the main table, 32766, and before those of others
// that are in its place.
const (
	leadTable      = 8453
	leadPreference = 50
)

// lead is a way that the kernel is told for a question: what a socket that is bound
// to an interface sends to a VIP goes to a router there, whatever way the kernel
// knows from that interface. It leads nothing else. One that a killed daemon left
// behind harms nobody, and the next question takes its place.
type lead struct {
	vip  netip.Addr
	link netlink.Link
	// hop is the router, or the gateway to it.
	hop netip.Addr
}

func (l lead) rule() *netlink.Rule {
	r := netlink.NewRule()
	r.Priority, r.Table = leadPreference, leadTable
	r.Dst, r.OifName = single(l.vip), l.link.Attrs().Name
	return r
}

// route is told apart from that of another interface by its metric. The router is
// on the link, even where no route of the interface says so.
func (l lead) route() *netlink.Route {
	index := l.link.Attrs().Index
	return &netlink.Route{
		Table: leadTable, Dst: single(l.vip), Gw: l.hop.AsSlice(), LinkIndex: index, Priority: index,
		Flags: int(netlink.FLAG_ONLINK),
	}
}

// single is an address as the prefix that holds nothing else.
func single(addr netip.Addr) *net.IPNet {
	return &net.IPNet{IP: addr.AsSlice(), Mask: net.CIDRMask(addr.BitLen(), addr.BitLen())}
}

func (l lead) begin() error {
	if err := l.end(); err != nil { // what is left of a killed daemon
		return err
	}
	err := netlink.RouteAdd(l.route())
	if err == nil {
		err = netlink.RuleAdd(l.rule())
	}
	if err != nil {
		return errors.Join(fmt.Errorf("lead to %s by %s: %w", l.vip, l.hop, err), l.end())
	}
	return nil
}

func (l lead) end() error {
	return errors.Join(gone(netlink.RuleDel(l.rule())), l.forget())
}

// forget deletes the route, to whatever router it leads.
func (l lead) forget() error {
	r := l.route()
	r.Gw, r.Flags = nil, 0
	return gone(netlink.RouteDel(r))
}

// gone is an error of a deletion, other than that nothing was there.
func gone(err error) error {
	if err == nil || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) {
		return nil
	}
	return fmt.Errorf("delete what led to a VIP by a router: %w", err)
}

// Sweep deletes what a daemon that was killed while it asked left behind.
func Sweep() error {
	errs := make([]error, 0, 4)
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		rules, err := netlink.RuleListFiltered(family, &netlink.Rule{Table: leadTable}, netlink.RT_FILTER_TABLE)
		errs = append(errs, err)
		for _, r := range rules {
			errs = append(errs, gone(netlink.RuleDel(&r)))
		}
		routes, err := netlink.RouteListFiltered(family, &netlink.Route{Table: leadTable}, netlink.RT_FILTER_TABLE)
		errs = append(errs, err)
		for _, r := range routes {
			errs = append(errs, gone(netlink.RouteDel(&r)))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove routes by which routers were asked: %w", err)
	}
	return nil
}
