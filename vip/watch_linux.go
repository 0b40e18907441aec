package vip

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// receiveBuffer holds the messages of some thousand changes, in bytes: a node
// whose pods all start at once makes many.
const receiveBuffer = 1 << 20

// Watch follows the interfaces and addresses of the calling thread's network
// namespace. It tells first what is there, then [Synced], then every change,
// until ctx ends; then it returns nil. fn is called from the calling goroutine.
// When the kernel had to drop messages, everything is listed anew, only the
// differences are told, and another Synced follows.
func Watch(ctx context.Context, fn func(Event)) error {
	w, err := openWatch(receiveBuffer)
	if err != nil {
		return err
	}
	defer w.close()
	return w.run(ctx, fn)
}

// watch holds one socket that asks and one that is told. There is one for links
// and addresses together, because netlink's subscriptions, one for each, would
// tell an address before its link, and lose the errno of an overrun.
type watch struct {
	kernel *netlink.Handle
	told   *nl.NetlinkSocket
	seen   table
}

func openWatch(buffer int) (*watch, error) {
	kernel, err := openRTNetlink()
	if err != nil {
		return nil, err
	}
	told, err := subscribe(buffer, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR)
	if err != nil {
		kernel.Close()
		return nil, err
	}
	return &watch{kernel: kernel, told: told, seen: table{}}, nil
}

func (w *watch) close() {
	w.kernel.Close()
	w.told.Close()
}

// run lists and follows, again after each loss of messages. The subscription is
// older than the listing, so no change falls between them; messages that the
// listing has overtaken are told again in their order and end in the same state.
func (w *watch) run(ctx context.Context, fn func(Event)) error {
	stop := context.AfterFunc(ctx, w.told.Close)
	defer stop()
	for ctx.Err() == nil {
		there, err := w.list()
		if err != nil {
			return err
		}
		tell(fn, w.seen.list(there))
		if err := w.follow(ctx, fn); err != nil {
			return err
		}
	}
	return nil
}

// list reads everything that is there.
func (w *watch) list() ([]Interface, error) {
	listed, err := links(w.kernel)
	if err != nil {
		return nil, err
	}
	addrs, err := addresses(w.kernel, nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, err
	}
	byIndex := map[int][]Address{}
	for _, a := range addrs {
		byIndex[a.index] = append(byIndex[a.index], a.Address)
	}
	there := make([]Interface, len(listed))
	for i, link := range listed {
		there[i] = state(link.Attrs())
		there[i].Addrs = byIndex[there[i].Index]
	}
	return there, nil
}

// follow tells changes until messages were lost or ctx ends; both return nil.
func (w *watch) follow(ctx context.Context, fn func(Event)) error {
	for ctx.Err() == nil {
		messages, _, err := w.told.Receive()
		switch {
		case errors.Is(err, unix.ENOBUFS):
			return nil
		case err != nil && ctx.Err() == nil:
			return fmt.Errorf("watch interfaces: %w", err)
		}
		for _, m := range messages {
			events, err := w.take(m)
			if err != nil {
				return fmt.Errorf("watch interfaces: %w", err)
			}
			tell(fn, events)
		}
	}
	return nil
}

// take brings one message into the table.
func (w *watch) take(m syscall.NetlinkMessage) ([]Event, error) {
	switch m.Header.Type {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		if nl.DeserializeIfInfomsg(m.Data).Family != unix.AF_UNSPEC {
			// A bridge tells about its ports in the same group: the removal of a
			// port is not the removal of the interface.
			return nil, nil
		}
		link, err := netlink.LinkDeserialize(nil, m.Data)
		switch {
		case err != nil:
			return nil, fmt.Errorf("link message: %w", err)
		case m.Header.Type == unix.RTM_DELLINK:
			return w.seen.removeLink(link.Attrs().Index), nil
		}
		return w.seen.setLink(state(link.Attrs())), nil
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		a, err := parseAddress(m.Data)
		switch {
		case err != nil:
			return nil, err
		case m.Header.Type == unix.RTM_DELADDR:
			return w.seen.removeAddress(a.index, a.Prefix), nil
		}
		return w.seen.setAddress(a.index, a.Address), nil
	default:
		return nil, nil
	}
}

func tell(fn func(Event), events []Event) {
	for _, e := range events {
		fn(e)
	}
}
