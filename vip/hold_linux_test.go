package vip

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

var (
	group   = []netip.Addr{vip4, vip6}
	noLimit time.Time
	held4   = listed{Local: "192.0.2.10", Length: 32, NoPrefixRoute: true, Dynamic: true}
	held6   = listed{Local: "2001:db8::10", Length: 128, NoPrefixRoute: true, NoDAD: true, Deprecated: true, Dynamic: true}
	own4    = listed{Local: "192.0.2.11", Length: 24}
	own6    = listed{Local: "2001:db8::11", Length: 64}
)

// holder opens a Holder on the host.
func (h host) holder() *Holder {
	h.t.Helper()
	var holder *Holder
	h.do(func() {
		var err error
		if holder, err = NewHolder(); err != nil {
			h.t.Fatal(err)
		}
	})
	h.t.Cleanup(func() { holder.Close() })
	return holder
}

// mustHold holds the group on eth0.
func mustHold(t *testing.T, h *Holder, lifetime time.Duration) (created bool) {
	t.Helper()
	created, err := h.Hold(t.Context(), "eth0", group, lifetime, noLimit)
	if err != nil {
		t.Fatal(err)
	}
	return created
}

func TestHoldFromAnyStart(t *testing.T) {
	node, peer := newSegment(t)
	holder := node.holder()
	type row struct {
		name    string
		before  func(host, *Holder)
		created bool
		foreign bool // IPv4 keeps the flags of whoever added the address
	}
	ip := func(args ...string) func(host, *Holder) {
		return func(h host, _ *Holder) { h.ip(args...) }
	}
	rows := []row{
		{"nothing there: created", func(host, *Holder) {}, true, false},
		{"all there: refreshed, not created", func(host, *Holder) {}, false, false},
		{"IPv4 deleted by someone: created again", ip("addr", "del", "192.0.2.10/32", "dev", "eth0"), true, false},
		{"IPv6 deleted by someone: created again", ip("addr", "del", "2001:db8::10/128", "dev", "eth0"), true, false},
		{"permanent IPv6 of someone else: replaced", func(h host, _ *Holder) {
			h.ip("addr", "del", "2001:db8::10/128", "dev", "eth0")
			h.ip("addr", "add", "2001:db8::10/128", "dev", "eth0", "nodad")
		}, false, false},
		{"held for ever before: gets a lifetime", func(h host, holder *Holder) { mustHold(h.t, holder, 0) }, false, false},
		{"permanent IPv4 of someone else: replaced", func(h host, _ *Holder) {
			h.ip("addr", "del", "192.0.2.10/32", "dev", "eth0")
			h.ip("addr", "add", "192.0.2.10/32", "dev", "eth0")
		}, false, true},
		{"interface made anew: created on the new one", func(h host, _ *Holder) {
			h.ip("link", "del", "eth0")
			h.join(peer)
		}, true, false},
	}
	for _, row := range rows {
		row.before(node, holder)
		if created := mustHold(t, holder, time.Minute); created != row.created {
			t.Errorf("%s: created %v", row.name, created)
		}
		want4 := held4
		want4.NoPrefixRoute = !row.foreign
		if diff := cmp.Diff([]listed{own4, want4, held6, own6}, node.addresses("eth0"), byLocal); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.name, diff)
		}
	}
}

func TestHoldForEver(t *testing.T) {
	node, _ := newSegment(t)
	holder := node.holder()
	mustHold(t, holder, time.Minute)
	mustHold(t, holder, 0)
	want4, want6 := held4, held6
	want4.Dynamic, want6.Dynamic = false, false
	if diff := cmp.Diff([]listed{own4, want4, want6, own6}, node.addresses("eth0"), byLocal); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestHeldAddressesTakePacketsAtOnce(t *testing.T) {
	node, _ := newSegment(t)
	holder := node.holder()
	for range 50 {
		mustHold(t, holder, time.Minute)
		if !holder.delivers("eth0", vip6) {
			t.Fatalf("%s is held, but the kernel has no local route for it yet", vip6)
		}
		if err := holder.Release(t.Context(), "eth0", group); err != nil {
			t.Fatal(err)
		}
	}
}

func TestHeldAddressesExpireByThemselves(t *testing.T) {
	node, _ := newSegment(t)
	told := node.watch()
	mustHold(t, node.holder(), time.Second)
	gone := map[netip.Addr]bool{}
	told.until("both addresses expire", func(e Event) bool {
		if r, ok := e.(AddressRemoved); ok {
			gone[r.Prefix.Addr()] = true
		}
		return gone[vip4] && gone[vip6]
	})
	if diff := cmp.Diff([]listed{own4, own6}, node.addresses("eth0"), byLocal); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRefreshChangesTheLifetime(t *testing.T) {
	node, _ := newSegment(t)
	holder := node.holder()
	mustHold(t, holder, time.Hour)
	mustHold(t, holder, time.Minute)
	for _, addr := range group {
		if left := node.remaining("eth0", addr); left > time.Minute {
			t.Errorf("%s: %v left after a refresh to a minute", addr, left)
		}
	}
	mustHold(t, holder, time.Hour)
	for _, addr := range group {
		if left := node.remaining("eth0", addr); left <= time.Minute {
			t.Errorf("%s: %v left after a refresh to an hour", addr, left)
		}
	}
}

func TestHoldWholeOrNotAtAll(t *testing.T) {
	node, _ := newSegment(t)
	holder := node.holder()
	node.sysctl("net/ipv6/conf/eth0/disable_ipv6", "1")
	created, err := holder.Hold(t.Context(), "eth0", group, time.Minute, noLimit)
	if created || !errors.Is(err, unix.EACCES) || !strings.Contains(err.Error(), "IPv6 is disabled") {
		t.Errorf("created %v, error %v; want the reason", created, err)
	}
	if diff := cmp.Diff([]string(nil), node.vips()); diff != "" {
		t.Errorf("nothing was there, nothing may be there (-want +got):\n%s", diff)
	}

	node.ip("addr", "add", "192.0.2.10/32", "dev", "eth0")
	if _, err := holder.Hold(t.Context(), "eth0", group, time.Minute, noLimit); err == nil {
		t.Error("no error with IPv6 disabled")
	}
	if diff := cmp.Diff([]string{"192.0.2.10/32"}, node.vips()); diff != "" {
		t.Errorf("what was there before stays for the caller to decide (-want +got):\n%s", diff)
	}
}

func TestHoldOnAnInterfaceTooSmallForIPv6(t *testing.T) {
	node, _ := newSegment(t)
	node.ip("link", "set", "eth0", "mtu", "1279")
	_, err := node.holder().Hold(t.Context(), "eth0", group, time.Minute, noLimit)
	if !errors.Is(err, unix.EINVAL) || !strings.Contains(err.Error(), "the MTU of eth0 is 1279") {
		t.Errorf("error %v; want the reason", err)
	}
	if diff := cmp.Diff([]string(nil), node.vips()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestHoldRefusals(t *testing.T) {
	node, _ := newSegment(t)
	holder := node.holder()
	if _, err := holder.Hold(t.Context(), "eth9", group, time.Minute, noLimit); !errors.Is(err, unix.ENODEV) {
		t.Errorf("no such interface: %v", err)
	}
	if _, err := holder.Hold(t.Context(), "eth0", group, 999*time.Millisecond, noLimit); err == nil {
		t.Error("a lifetime that the kernel would take for none: no error")
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := holder.Hold(cancelled, "eth0", group, time.Minute, noLimit); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := holder.Hold(t.Context(), "eth0", []netip.Addr{vip4, netip.MustParseAddr("2001:db8::11")}, time.Minute, noLimit); err == nil {
		t.Error("the node's own IPv6 address as VIP: no error")
	}
	if diff := cmp.Diff([]listed{own4, own6}, node.addresses("eth0"), byLocal); diff != "" {
		t.Errorf("a refusal changes nothing (-want +got):\n%s", diff)
	}
}

func TestHoldAfterTheDeadlineDoesNothing(t *testing.T) {
	node, _ := newSegment(t)
	holder := node.holder()
	if _, err := holder.Hold(t.Context(), "eth0", group, time.Minute, time.Now()); !errors.Is(err, ErrDeadline) {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff([]string(nil), node.vips()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	mustHold(t, holder, time.Hour)
	if _, err := holder.Hold(t.Context(), "eth0", group, time.Minute, time.Now()); !errors.Is(err, ErrDeadline) {
		t.Errorf("refresh: got %v", err)
	}
	if left := node.remaining("eth0", vip4); left <= time.Minute {
		t.Errorf("a late refresh changed the lifetime to %v", left)
	}
}

// The clock passes the deadline while the n-th address is in the kernel, as it
// does when the process is frozen there.
func TestHoldStalledInTheKernelUndoesAll(t *testing.T) {
	both := []string{"192.0.2.10/32", "2001:db8::10/128"}
	rows := []struct {
		name    string
		looks   int // at the clock, before the deadline passes
		already bool
		there   []string // when the deadline has passed
	}{
		{"first address of a takeover", 1, false, both[:1]},
		{"second address of a takeover", 2, false, both},
		{"first address of a refresh", 1, true, both},
		{"second address of a refresh", 2, true, both},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			node, _ := newSegment(t)
			holder := node.holder()
			if row.already {
				mustHold(t, holder, time.Hour)
			}
			var there []string
			looks, start := 0, time.Now()
			holder.now = func() time.Time {
				if looks++; looks > row.looks {
					there = node.vips()
					return start.Add(time.Hour)
				}
				return start
			}
			_, err := holder.Hold(t.Context(), "eth0", group, time.Minute, start.Add(time.Minute))
			if !errors.Is(err, ErrDeadline) {
				t.Errorf("got %v", err)
			}
			if diff := cmp.Diff(row.there, there); diff != "" {
				t.Errorf("when the deadline had passed (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]string(nil), node.vips()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestHoldRevivesAnAddressThatDetectionSilenced(t *testing.T) {
	node, peer := newSegment(t)
	holder, told := node.holder(), node.watch()
	peer.ip("addr", "add", "2001:db8::10/64", "dev", "eth0", "nodad")
	node.sysctl("net/ipv6/conf/eth0/accept_dad", "1")
	node.ip("addr", "add", "2001:db8::10/128", "dev", "eth0")
	told.until("the address found to be a duplicate", changed("eth0", func(i Interface) bool {
		return has(i, func(a Address) bool { return a.Prefix.Addr() == vip6 && a.DADFailed })
	}))
	if !mustHold(t, holder, time.Minute) {
		t.Error("an address that did not work, and now does, is created")
	}
	if diff := cmp.Diff([]listed{own4, held4, held6, own6}, node.addresses("eth0"), byLocal); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRelease(t *testing.T) {
	node, _ := newSegment(t)
	holder := node.holder()
	node.ip("addr", "add", "192.0.2.10/25", "dev", "eth0")
	mustHold(t, holder, time.Minute)
	for _, name := range []string{"first", "again"} {
		if err := holder.Release(t.Context(), "eth0", group); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff([]string{"192.0.2.10/25"}, node.vips()); diff != "" {
			t.Errorf("%s: the /32 and /128 only (-want +got):\n%s", name, diff)
		}
	}
	node.sysctl("net/ipv6/conf/eth0/disable_ipv6", "1")
	if err := holder.Release(t.Context(), "eth0", group); err != nil {
		t.Errorf("IPv6 disabled: %v", err)
	}
	if err := holder.Release(t.Context(), "eth9", group); err != nil {
		t.Errorf("no such interface: %v", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := holder.Release(cancelled, "eth0", group); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled, and so unknown whether they are off: %v", err)
	}
}

func TestReseat(t *testing.T) {
	node, _ := newSegment(t)
	holder := node.holder()
	mustHold(t, holder, time.Minute)
	node.ip("route", "add", "default", "dev", "eth0")
	reseat := func(deadline time.Time) (bool, error) {
		return holder.Reseat(t.Context(), "eth0", group, time.Minute, deadline)
	}
	source := func() string {
		var routes []struct {
			Source string `json:"prefsrc"`
		}
		node.decode(&routes, "route", "get", "198.51.100.1")
		return routes[0].Source
	}

	if moved, err := reseat(noLimit); moved || err != nil {
		t.Errorf("in place: moved %v, %v", moved, err)
	}
	node.ip("addr", "del", "192.0.2.11/24", "dev", "eth0")
	if moved, err := reseat(noLimit); moved || err != nil {
		t.Errorf("no own address: moved %v, %v", moved, err)
	}
	node.ip("addr", "add", "192.0.2.11/24", "dev", "eth0")
	node.ip("route", "replace", "default", "dev", "eth0")
	if got := source(); got != "192.0.2.10" {
		t.Fatalf("the trouble is not there: source %s before the reseat", got)
	}
	if moved, err := reseat(time.Now()); moved || !errors.Is(err, ErrDeadline) {
		t.Errorf("too late: moved %v, %v", moved, err)
	}
	if moved, err := reseat(noLimit); !moved || err != nil {
		t.Errorf("behind a VIP: moved %v, %v", moved, err)
	}
	if got := source(); got != "192.0.2.11" {
		t.Errorf("source %s after the reseat", got)
	}
	if diff := cmp.Diff([]listed{own4, held4, held6, own6}, node.addresses("eth0"), byLocal); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if moved, err := reseat(noLimit); moved || err != nil {
		t.Errorf("in place again: moved %v, %v", moved, err)
	}
}

// Each of two groups is reseated by itself; neither takes the other's VIP for
// the node's own address.
func TestReseatOfTwoGroups(t *testing.T) {
	node, _ := newSegment(t)
	holder := node.holder()
	groups := [][]netip.Addr{{netip.MustParseAddr("192.0.2.9")}, {vip4}}
	for _, addrs := range slices.Backward(groups) {
		if _, err := holder.Hold(t.Context(), "eth0", addrs, time.Minute, noLimit); err != nil {
			t.Fatal(err)
		}
	}
	node.ip("addr", "del", "192.0.2.11/24", "dev", "eth0")
	node.ip("addr", "add", "192.0.2.11/24", "dev", "eth0")
	for round, want := range []bool{true, false} {
		for _, addrs := range groups {
			moved, err := holder.Reseat(t.Context(), "eth0", addrs, time.Minute, noLimit)
			if err != nil || moved != want {
				t.Errorf("round %d, %v: moved %v, %v", round, addrs, moved, err)
			}
		}
	}
	if first := node.addresses("eth0")[0]; first != own4 {
		t.Errorf("first is %+v", first)
	}
}

func TestReseatStalledInTheKernelUndoesAll(t *testing.T) {
	node, _ := newSegment(t)
	holder := node.holder()
	mustHold(t, holder, time.Minute)
	node.ip("addr", "del", "192.0.2.11/24", "dev", "eth0")
	node.ip("addr", "add", "192.0.2.11/24", "dev", "eth0")
	looks, start := 0, time.Now()
	holder.now = func() time.Time {
		if looks++; looks > 1 {
			return start.Add(time.Hour)
		}
		return start
	}
	_, err := holder.Reseat(t.Context(), "eth0", group, time.Minute, start.Add(time.Minute))
	if !errors.Is(err, ErrDeadline) {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff([]string(nil), node.vips()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFind(t *testing.T) {
	node, _ := newSegment(t)
	holder := node.holder()
	node.ip("link", "add", "lan1", "type", "veth", "peer", "name", "lan2")
	node.ip("addr", "add", "192.0.2.10/32", "dev", "lo")
	node.ip("addr", "add", "192.0.2.9/24", "dev", "lan1")
	mustHold(t, holder, time.Minute)
	got, err := holder.Find(append([]netip.Addr{netip.MustParseAddr("192.0.2.9")}, group...))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]netip.Addr{"eth0": {vip4, vip6}, "lo": {vip4}}
	if diff := cmp.Diff(want, got, comparePrefixes); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
