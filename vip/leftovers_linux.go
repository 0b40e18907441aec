package vip

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
)

// Find tells where on this host any of addrs is, by interface name, however it
// got there; addresses of another length than /32 and /128 are no VIPs.
func (h *Holder) Find(addrs []netip.Addr) (map[string][]netip.Addr, error) {
	listed, err := links(h.kernel)
	if err != nil {
		return nil, fmt.Errorf("find %v: %w", addrs, err)
	}
	there, err := addresses(h.kernel, nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("find %v: %w", addrs, err)
	}
	names := make(map[int]string, len(listed))
	for _, link := range listed {
		names[link.Attrs().Index] = link.Attrs().Name
	}
	found := map[string][]netip.Addr{}
	for _, a := range there {
		name, known := names[a.index]
		if known && a.Prefix.IsSingleIP() && slices.Contains(addrs, a.Prefix.Addr()) {
			found[name] = append(found[name], a.Prefix.Addr())
		}
	}
	return found, nil
}
