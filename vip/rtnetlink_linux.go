package vip

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// listTries bounds the repetitions of a listing that changes while it is read.
const listTries = 32

// openRTNetlink opens a socket for requests in the network namespace of the
// calling thread. It is safe for concurrent use; requests wait for each other.
func openRTNetlink() (*netlink.Handle, error) {
	kernel, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open rtnetlink: %w", err)
	}
	return kernel, nil
}

// subscribe opens a socket that is sent the messages of the groups in the order
// of the changes, with a receive buffer of so many bytes.
func subscribe(buffer int, groups ...uint) (*nl.NetlinkSocket, error) {
	told, err := nl.Subscribe(unix.NETLINK_ROUTE, groups...)
	if err != nil {
		return nil, fmt.Errorf("subscribe to rtnetlink: %w", err)
	}
	// By force, because net.core.rmem_max is smaller.
	if err := told.SetReceiveBufferSize(buffer, true); err != nil {
		told.Close()
		return nil, fmt.Errorf("subscribe to rtnetlink: set receive buffer: %w", err)
	}
	return told, nil
}

// lookUp reads one interface; ENODEV when there is none of that name. Alternative
// names are none, because events do not tell them.
func lookUp(kernel *netlink.Handle, name string) (netlink.Link, error) {
	link, err := kernel.LinkByName(name)
	_, missing := errors.AsType[netlink.LinkNotFoundError](err)
	if missing || err == nil && link.Attrs().Name != name {
		err = unix.ENODEV
	}
	if err != nil {
		return nil, fmt.Errorf("look up interface %s: %w", name, err)
	}
	return link, nil
}

// links lists all interfaces.
func links(kernel *netlink.Handle) ([]netlink.Link, error) {
	list, err := settled(kernel.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	return list, nil
}

// addresses lists addresses in the kernel's order, of one family or all
// (FAMILY_ALL), of one interface or all (nil).
func addresses(kernel *netlink.Handle, link netlink.Link, family int) ([]addressMessage, error) {
	found, err := settled(func() ([]netlink.Addr, error) { return kernel.AddrList(link, family) })
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	list := make([]addressMessage, 0, len(found))
	for _, a := range found {
		bits, _ := a.Mask.Size()
		m := addressMessage{Address: address(a.IP, bits, a.Flags), index: a.LinkIndex, scope: a.Scope}
		if m.Prefix.IsValid() { // and of IP
			list = append(list, m)
		}
	}
	return list, nil
}

// settled lists again when the list changed meanwhile: an interrupted listing
// may miss entries that did not change.
func settled[T any](list func() ([]T, error)) ([]T, error) {
	for range listTries {
		all, err := list()
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			return all, err
		}
	}
	return nil, netlink.ErrDumpInterrupted
}
