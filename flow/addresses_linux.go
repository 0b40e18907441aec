package flow

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// address is one of this host's, with the index of its interface.
type address struct {
	index  int
	prefix netip.Prefix
}

// addresses lists all addresses of this host that work.
func (f *Flow) addresses() ([]address, error) {
	list, err := f.route.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	var found []address
	for _, a := range list {
		addr, ok := netip.AddrFromSlice(a.IP)
		if ok && a.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) == 0 {
			length, _ := a.Mask.Size()
			found = append(found, address{a.LinkIndex, netip.PrefixFrom(addr.Unmap(), length)})
		}
	}
	return found, nil
}

// linkLocals returns an IPv6 link-local address of each interface that has one.
func (f *Flow) linkLocals() (map[int]netip.Addr, error) {
	list, err := f.addresses()
	if err != nil {
		return nil, err
	}
	byIndex := map[int]netip.Addr{}
	for _, a := range list {
		if addr := a.prefix.Addr(); addr.Is6() && addr.IsLinkLocalUnicast() {
			byIndex[a.index] = addr
		}
	}
	return byIndex, nil
}
