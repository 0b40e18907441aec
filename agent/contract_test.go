package agent

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// bed is a host with an interface eth0 that has 192.0.2.11/24, 2001:db8::11/64
// and a link-local address, for the contract of Addresses.
type bed interface {
	Addresses
	// listed are the addresses of eth0 in the kernel's order, as prefixes.
	listed(interfaceName string) []string
	// configure and remove put a prefix on eth0 and take it off, as an operator
	// does.
	configure(interfaceName, prefix string)
	remove(interfaceName, prefix string)
}

// The kernel that the other tests run on keeps the contract.
func TestInMemoryAddressesKeepTheContract(t *testing.T) {
	for _, term := range terms() {
		t.Run(term.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { term.check(t, newLAN(t).host(11)) })
		})
	}
}

// term is a sentence of the contract of Addresses.
type term struct {
	name  string
	check func(*testing.T, bed)
}

var (
	vip4 = netip.MustParseAddr("192.0.2.10")
	vip6 = netip.MustParseAddr("2001:db8::10")
	both = []netip.Addr{vip4, vip6}
	// noLimit is no deadline.
	noLimit time.Time
)

func terms() []term {
	return []term{
		{"Hold brings all addresses on, and tells so once", func(t *testing.T, b bed) {
			holds(t, b, both, time.Minute, true)
			has(t, b, "192.0.2.10/32", "2001:db8::10/128")
			holds(t, b, both, time.Minute, false)
		}},
		{"Hold puts back what someone removed", func(t *testing.T, b bed) {
			holds(t, b, both, time.Minute, true)
			b.remove("eth0", "192.0.2.10/32")
			holds(t, b, both, time.Minute, true)
			has(t, b, "192.0.2.10/32", "2001:db8::10/128")
		}},
		{"Hold after its deadline does nothing", func(t *testing.T, b bed) {
			fails(t, b, both, time.Now())
			has(t, b)
		}},
		{"Hold leaves what is there when it comes after its deadline", func(t *testing.T, b bed) {
			holds(t, b, both, time.Minute, true)
			fails(t, b, both, time.Now())
			has(t, b, "192.0.2.10/32", "2001:db8::10/128")
		}},
		{"Hold is whole or not at all: the node's own IPv6 address is not taken, and what came before it is undone", func(t *testing.T, b bed) {
			fails(t, b, []netip.Addr{vip4, netip.MustParseAddr("2001:db8::11")}, noLimit)
			has(t, b)
			if !slices.Contains(b.listed("eth0"), "2001:db8::11/64") {
				t.Error("the node's own address is gone")
			}
		}},
		{"Hold needs the interface", func(t *testing.T, b bed) {
			if _, err := b.Hold(t.Context(), "eth7", both, time.Minute, noLimit); err == nil {
				t.Error("held on an interface that is not there")
			}
		}},
		{"Hold ends with its context", func(t *testing.T, b bed) {
			if _, err := b.Hold(ended(), "eth0", both, time.Minute, noLimit); err == nil {
				t.Error("held for a caller that is gone")
			}
			has(t, b)
		}},
		{"an address goes by itself after its lifetime, one that was refreshed and one for ever stay", func(t *testing.T, b bed) {
			refreshed, forever := netip.MustParseAddr("192.0.2.20"), netip.MustParseAddr("192.0.2.30")
			for _, addr := range []netip.Addr{refreshed, forever} {
				holds(t, b, []netip.Addr{addr}, time.Second, true)
			}
			holds(t, b, []netip.Addr{refreshed}, time.Minute, false)
			holds(t, b, []netip.Addr{forever}, 0, false)
			holds(t, b, both, time.Second, true)
			await(t, "both addresses expire", func() bool {
				return !slices.Contains(b.listed("eth0"), "192.0.2.10/32") && !slices.Contains(b.listed("eth0"), "2001:db8::10/128")
			})
			has(t, b, "192.0.2.20/32", "192.0.2.30/32")
		}},
		{"Release takes off what is named, and may be repeated", func(t *testing.T, b bed) {
			holds(t, b, both, time.Minute, true)
			for range 2 {
				if err := b.Release(t.Context(), "eth0", []netip.Addr{vip4}); err != nil {
					t.Error(err)
				}
				has(t, b, "2001:db8::10/128")
			}
		}},
		{"Release from an interface that is gone is done", func(t *testing.T, b bed) {
			if err := b.Release(t.Context(), "eth7", both); err != nil {
				t.Error(err)
			}
		}},
		{"Release tells when it was not done", func(t *testing.T, b bed) {
			holds(t, b, both, time.Minute, true)
			if err := b.Release(ended(), "eth0", both); err == nil {
				t.Error("released for a caller that is gone")
			}
		}},
		{"Reseat puts the VIP behind the node's address that was re-added, once", func(t *testing.T, b bed) {
			holds(t, b, both, time.Minute, true)
			reseats(t, b, false)
			b.remove("eth0", "192.0.2.11/24")
			b.configure("eth0", "192.0.2.11/24")
			reseats(t, b, true)
			reseats(t, b, false)
			own, held := slices.Index(b.listed("eth0"), "192.0.2.11/24"), slices.Index(b.listed("eth0"), "192.0.2.10/32")
			if own < 0 || held < own {
				t.Errorf("the kernel lists %v", b.listed("eth0"))
			}
		}},
		{"Reseat after its deadline does nothing", func(t *testing.T, b bed) {
			holds(t, b, both, time.Minute, true)
			b.remove("eth0", "192.0.2.11/24")
			b.configure("eth0", "192.0.2.11/24")
			if moved, err := b.Reseat(t.Context(), "eth0", both, time.Minute, time.Now()); moved || err == nil {
				t.Errorf("moved %v, error %v", moved, err)
			}
			has(t, b, "192.0.2.10/32", "2001:db8::10/128")
		}},
	}
}

func holds(t *testing.T, b bed, addrs []netip.Addr, lifetime time.Duration, wantCreated bool) {
	t.Helper()
	created, err := b.Hold(t.Context(), "eth0", addrs, lifetime, noLimit)
	if err != nil || created != wantCreated {
		t.Errorf("Hold %v: created %v, want %v; error %v", addrs, created, wantCreated, err)
	}
}

func fails(t *testing.T, b bed, addrs []netip.Addr, deadline time.Time) {
	t.Helper()
	if created, err := b.Hold(t.Context(), "eth0", addrs, time.Minute, deadline); created || err == nil {
		t.Errorf("Hold %v: created %v, error %v", addrs, created, err)
	}
}

func reseats(t *testing.T, b bed, want bool) {
	t.Helper()
	moved, err := b.Reseat(t.Context(), "eth0", both, time.Minute, noLimit)
	if err != nil || moved != want {
		t.Errorf("Reseat: moved %v, want %v; error %v", moved, want, err)
	}
}

// has compares the VIPs on eth0 with what should be there.
func has(t *testing.T, b bed, want ...string) {
	t.Helper()
	var got []string
	for _, p := range b.listed("eth0") {
		if netip.MustParsePrefix(p).IsSingleIP() {
			got = append(got, p)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("VIPs on eth0 (-want +got):\n%s", diff)
	}
}

// ended is the context of a caller that is gone.
func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
