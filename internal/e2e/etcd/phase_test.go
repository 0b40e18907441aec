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

	"github.com/vipd/vipd/internal/lab"
)

// Times after a renewal at which a daemon is ended. Late after it a refresh gives the
// address its last lifetime of three seconds: later on it would get less.
const (
	justAfterARenewal = 20 * time.Millisecond
	betweenRenewals   = 800 * time.Millisecond
	lateAfterARenewal = 1300 * time.Millisecond
)

// end ends a daemon in the very moment when it has refreshed the last group's
// address, so long after a renewal of that group's lease, by SIGSTOP or SIGKILL. And
// it makes its kernel as late as can be: that looks for addresses whose lifetime is
// over when the first one's is, and when somebody changes one, but not for a second
// after each look (net/ipv4/devinet.c, check_lifetime; net/ipv6/addrconf.c,
// addrconf_verify_rtnl). So another address is changed, as a DHCP client does, just
// before.
func (e *electorate) end(owner *lab.Host, signal syscall.Signal, after time.Duration) (mend func() error, err error) {
	const ahead = 30 * time.Millisecond
	over, err := e.refreshed(owner, after, func() error { return e.running[owner].Signal(signal) })
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

// refreshed has a host's daemon refresh the last group's address so long after a
// renewal of its lease, and does something at once. It returns when the address's
// lifetime is over. The daemon puts back what somebody takes away: so a refresh comes
// when it is wanted.
func (e *electorate) refreshed(owner *lab.Host, after time.Duration, then func() error) (over time.Time, err error) {
	g := e.groups[len(e.groups)-1]
	told, done := make(chan netlink.AddrUpdate, 64), make(chan struct{})
	defer close(done)
	if err := owner.Do(func() error { return netlink.AddrSubscribe(told, done) }); err != nil {
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
	var due <-chan time.Time
	for {
		select {
		case got, open := <-renewals:
			if !open || got.Err() != nil {
				return over, errors.Join(errors.New("watch renewals"), got.Err())
			}
			renewed = time.Now()
			due = time.After(after)
		case <-due:
			due = nil
			if err := remove(owner, g.addresses[0]); err != nil {
				return over, err
			}
		case u := <-told:
			const tardy = 100 * time.Millisecond // later, it is another moment than the one that was wanted
			addr, _ := netip.AddrFromSlice(u.LinkAddress.IP)
			since := time.Since(renewed)
			if !u.NewAddr || addr.Unmap() != g.addresses[0] || renewed.IsZero() || since < after || since > after+tardy {
				continue
			}
			over = time.Now().Add(time.Duration(u.ValidLft) * time.Second)
			return over, then()
		case <-ctx.Done():
			return over, fmt.Errorf("wait for a refresh %v after a renewal: %w", after, context.Cause(ctx))
		}
	}
}

// remove takes an address off a host's interface.
func remove(h *lab.Host, address netip.Addr) error {
	return h.Do(func() error {
		link, err := netlink.LinkByName(h.Interface)
		if err == nil {
			err = netlink.AddrDel(link, &netlink.Addr{IPNet: netlink.NewIPNet(address.AsSlice())})
		}
		if err != nil {
			return fmt.Errorf("take %v off %s: %w", address, h, err)
		}
		return nil
	})
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
