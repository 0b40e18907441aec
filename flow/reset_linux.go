package flow

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Connections tells what is open to addrs and port on this node.
func (f *Flow) Connections(ctx context.Context, addrs []netip.Addr, port uint16) (Connections, error) {
	open, err := f.carried(ctx, addrs, port)
	if err != nil {
		return Connections{}, fmt.Errorf("count connections to %v: %w", addrs, err)
	}
	f.mu.Lock()
	own, err := f.addresses()
	f.mu.Unlock()
	if err != nil {
		return Connections{}, fmt.Errorf("count connections to %v: %w", addrs, err)
	}
	here := map[netip.Addr]bool{}
	for _, a := range own {
		here[a.prefix.Addr()] = true
	}
	return summary(open, func(a netip.Addr) bool { return here[a] || a.IsLoopback() }), nil
}

// Listeners tells at which addresses something listens for a TCP port; the
// unspecified addresses stand for all. A server that listens at a VIP itself
// takes every packet to it for its own, so none gets a second chance.
func (f *Flow) Listeners(ctx context.Context, port uint16) ([]netip.Addr, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("list who listens at port %d: %w", port, err)
	}
	all, err := f.diag.serving(port)
	if err != nil {
		return nil, fmt.Errorf("list who listens at port %d: %w", port, err)
	}
	return listeners(all, port), nil
}

// Reset ends the connections to addrs and port, or only those that are idle just
// now, and tells their clients at once. It must come before the addresses go:
// without them the kernel sends no resets. n is how many it ended.
func (f *Flow) Reset(ctx context.Context, addrs []netip.Addr, port uint16, onlyIdle bool) (n int, err error) {
	open, err := f.carried(ctx, addrs, port)
	if err == nil {
		if onlyIdle {
			open = pick(open, endpoint.idle)
		}
		n, err = f.destroy(ctx, open)
	}
	if err != nil {
		return n, fmt.Errorf("reset connections to %v: %w", addrs, err)
	}
	return n, nil
}

// ResetClients ends the connections that clients on this host have to addrs and
// port at another host, while the addresses are here: IPv4 clients would wait for
// answers that the kernel takes for forged, unless accept_local is on. n is how
// many it ended.
func (f *Flow) ResetClients(ctx context.Context, addrs []netip.Addr, port uint16) (n int, err error) {
	calling, err := f.diag.calling(port)
	if err == nil {
		var serving []endpoint
		if serving, err = f.diag.serving(port); err == nil {
			n, err = f.destroy(ctx, strandedClients(append(calling, serving...), addrs, port))
		}
	}
	if err != nil {
		return n, fmt.Errorf("reset this host's clients of %v: %w", addrs, err)
	}
	return n, nil
}

// carried lists the open connections for addrs and port.
func (f *Flow) carried(ctx context.Context, addrs []netip.Addr, port uint16) ([]endpoint, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	all, err := f.diag.serving(port)
	if err != nil {
		return nil, err
	}
	return to(all, addrs, port), nil
}

// destroy ends connections and goes on after errors.
func (f *Flow) destroy(ctx context.Context, open []endpoint) (n int, err error) {
	var errs []error
	for _, e := range open {
		if err := ctx.Err(); err != nil {
			return n, errors.Join(append(errs, err)...)
		}
		err := f.diag.destroy(e.handle)
		switch {
		case err == nil:
			n++
		case errors.Is(err, unix.ENOENT):
			// It ended by itself.
		default:
			errs = append(errs, fmt.Errorf("destroy %s from %s: %w", e.local, e.remote, err))
		}
	}
	return n, errors.Join(errs...)
}
