package vip

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// WatchClaims reports stations other than this interface that claim a watched
// address on it: the sender of any ARP packet, the sender of a neighbour
// advertisement, and, tentatively, of a solicitation for duplicate address
// detection. It follows the interface through being down, removed and made anew,
// until ctx ends; then it returns nil.
//
// watched and fn are called from one goroutine at a time.
func WatchClaims(ctx context.Context, ifname string, watched func(netip.Addr) bool, fn func(Claim)) error {
	kernel, err := openRTNetlink()
	if err != nil {
		return fmt.Errorf("watch claims on %s: %w", ifname, err)
	}
	defer kernel.Close()
	w := claimWatch{kernel: kernel, ifname: ifname, watched: watched, fn: fn}
	for ctx.Err() == nil {
		err := w.run(ctx)
		if err != nil && !isDown(err) && ctx.Err() == nil {
			return fmt.Errorf("watch claims on %s: %w", ifname, err)
		}
	}
	return nil
}

// claimWatch listens on one interface by name.
type claimWatch struct {
	kernel *netlink.Handle
	ifname string

	mu      sync.Mutex // around watched and fn
	watched func(netip.Addr) bool
	fn      func(Claim)
}

// run waits for the interface and listens on it until it goes down. A packet
// socket reports that once, and stays deaf when the interface is removed.
func (w *claimWatch) run(ctx context.Context) (err error) {
	index, err := w.awaitUp(ctx)
	if err != nil {
		return err
	}
	arp, err := arpPackets.listen(index)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, arp.Close()) }()
	neighbours, err := neighbourMessages.listen(index)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, neighbours.Close()) }()
	listeners, ctx := errgroup.WithContext(ctx)
	listeners.Go(func() error { return w.listen(ctx, arp) })
	listeners.Go(func() error { return w.listen(ctx, neighbours) })
	return listeners.Wait()
}

// awaitUp returns the index of the interface as soon as it is there and set up.
// Carrier is not waited for: the socket hears from the first frame then.
func (w *claimWatch) awaitUp(ctx context.Context) (index int, err error) {
	told, err := subscribe(receiveBuffer, unix.RTNLGRP_LINK)
	if err != nil {
		return 0, err
	}
	defer told.Close()
	stop := context.AfterFunc(ctx, told.Close)
	defer stop()
	for {
		link, err := lookUp(w.kernel, w.ifname)
		switch {
		case err == nil && link.Attrs().Flags&net.FlagUp != 0:
			return link.Attrs().Index, nil
		case err != nil && !errors.Is(err, unix.ENODEV):
			return 0, err
		}
		// Whatever is told, and even that something could not be, is a reason to
		// look again.
		if _, _, err := told.Receive(); err != nil && !errors.Is(err, unix.ENOBUFS) {
			return 0, err
		}
	}
}

// listen reports the claims that one socket receives.
func (w *claimWatch) listen(ctx context.Context, conn *packet.Conn) error {
	stop := interruptAtEnd(ctx, conn)
	defer stop()
	buffer := make([]byte, captureLength)
	for {
		n, _, err := conn.ReadFrom(buffer)
		if err != nil {
			return err
		}
		if a, ok := parseAssertion(buffer[:n]); ok {
			if err := w.report(a); err != nil {
				return err
			}
		}
	}
}

// report hands a claim on, unless the claimed address is not watched or the
// claim is this interface's own, sent back by the network. The interface's MAC
// may change at any time, so it is asked for each time.
func (w *claimWatch) report(a assertion) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.watched(a.addr) {
		return nil
	}
	link, err := lookUp(w.kernel, w.ifname)
	if err != nil {
		return err
	}
	if !bytes.Equal(link.Attrs().HardwareAddr, a.mac[:]) {
		w.fn(Claim{Interface: w.ifname, Addr: a.addr, MAC: slices.Clone(a.mac[:]), Tentative: a.tentative})
	}
	return nil
}

// isDown: the interface went down, is gone, or is another one by now.
func isDown(err error) bool {
	return errors.Is(err, unix.ENETDOWN) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENXIO)
}
