package etcd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/vipd/vipd/internal/lab"
)

// phase is a part of the time between two renewals of a lease, as time since the
// first of them.
type phase struct{ from, to time.Duration }

// Refreshes come each second, a third of the fence, and renewals each 1.67 s, a
// third of the TTL, so the former are in each of these phases within some seconds.
func justAfterARenewal() phase { return phase{0, 334 * time.Millisecond} }

func betweenTwoRenewals() phase { return phase{667 * time.Millisecond, time.Second} }

// lateAfterARenewal is when a refresh gives the address its last lifetime of three
// seconds. Sooner or later the address would go before.
func lateAfterARenewal() phase { return phase{1166 * time.Millisecond, 1500 * time.Millisecond} }

// end ends a daemon in the very moment when it has refreshed the last group's
// address, in a phase of that group's lease, by SIGSTOP or SIGKILL. And it makes its
// kernel as late as can be: that looks for addresses whose lifetime is over when the
// first one's is, and when somebody changes one, but not for a second after each look
// (net/ipv4/devinet.c, check_lifetime; net/ipv6/addrconf.c, addrconf_verify_rtnl).
// So another address is changed, as a DHCP client does, just before.
func (e *electorate) end(owner *lab.Host, signal syscall.Signal, in phase) (mend func() error, err error) {
	const ahead = 30 * time.Millisecond
	over, err := e.refreshed(owner, in, func() error { return e.running[owner].Signal(signal) })
	if err != nil {
		return nil, err
	}
	time.Sleep(time.Until(over.Add(-ahead)))
	if err := lease(owner, "192.0.2.1/32", "2001:db8::1/128"); err != nil {
		return nil, err
	}
	return func() error {
		if signal == syscall.SIGSTOP {
			return e.running[owner].Signal(syscall.SIGCONT)
		}
		if _, err := e.running[owner].Wait(e.ctx); err != nil {
			return err
		}
		e.vipd(owner)
		return nil
	}, nil
}

// refreshed waits until a host's daemon has refreshed the last group's address in a
// phase of its lease, and does something at once. It returns when the address's
// lifetime is over.
func (e *electorate) refreshed(owner *lab.Host, in phase, then func() error) (over time.Time, err error) {
	g := e.groups[len(e.groups)-1]
	refreshes, done := make(chan netlink.AddrUpdate, 64), make(chan struct{})
	defer close(done)
	if err := owner.Do(func() error { return netlink.AddrSubscribe(refreshes, done) }); err != nil {
		return over, err
	}
	client, err := e.etcd.Client(e.others(owner)[0])
	if err != nil {
		return over, err
	}
	ctx, cancel := context.WithCancel(e.ctx)
	defer cancel()
	renewals := client.Watch(ctx, fmt.Sprintf("/vipd/kubernetes/%s/renewal", g.name))
	var renewed time.Time
	for {
		select {
		case got, open := <-renewals:
			if !open || got.Err() != nil {
				return over, errors.Join(errors.New("watch renewals"), got.Err())
			}
			for _, ev := range got.Events {
				if ev.Type == clientv3.EventTypePut {
					renewed = time.Now()
				}
			}
		case u := <-refreshes:
			addr, _ := netip.AddrFromSlice(u.LinkAddress.IP)
			since := time.Since(renewed)
			if !u.NewAddr || addr.Unmap() != g.addresses[0] || renewed.IsZero() || since < in.from || since >= in.to {
				continue
			}
			over = time.Now().Add(time.Duration(u.ValidLft) * time.Second)
			return over, then()
		case <-ctx.Done():
			return over, fmt.Errorf("wait for a refresh from %v to %v after a renewal: %w", in.from, in.to, context.Cause(ctx))
		}
	}
}

// lease gives a host addresses that have a lifetime.
func lease(h *lab.Host, addresses ...string) error {
	const lifetime = 20 // seconds, longer than what follows
	return h.Do(func() error {
		loopback, err := netlink.LinkByName("lo")
		for _, a := range addresses {
			if err != nil {
				break
			}
			var network *net.IPNet
			if network, err = netlink.ParseIPNet(a); err == nil {
				err = netlink.AddrReplace(loopback, &netlink.Addr{IPNet: network, ValidLft: lifetime, PreferedLft: lifetime})
			}
		}
		if err != nil {
			return fmt.Errorf("change an address on %s: %w", h, err)
		}
		return nil
	})
}
