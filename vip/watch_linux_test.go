package vip

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// listing is what a Watch tells first.
func (h host) listing() []Event {
	h.t.Helper()
	var events []Event
	h.do(func() {
		ctx, cancel := context.WithCancel(h.t.Context())
		err := Watch(ctx, func(e Event) {
			if events = append(events, e); isSynced(e) {
				cancel()
			}
		})
		if err != nil {
			h.t.Errorf("ended: %v", err)
		}
	})
	return events
}

func TestWatchTellsWhatIsThere(t *testing.T) {
	node, _ := newSegment(t)
	want := []Event{
		// The kernel's own loopback interface is down in a new namespace.
		InterfaceChanged{Interface{Name: "lo", Index: 1}},
		InterfaceChanged{Interface{Name: "eth0", Index: node.index(), MAC: macA, Up: true, Addrs: []Address{
			{Prefix: netip.MustParsePrefix("192.0.2.11/24")},
			{Prefix: netip.MustParsePrefix("2001:db8::11/64")},
			{Prefix: netip.MustParsePrefix("fe80::ff:fe00:a/64")},
		}}},
		Synced{},
	}
	if diff := cmp.Diff(want, node.listing(), comparePrefixes); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWatchFollows(t *testing.T) {
	node, peer := newSegment(t)
	told := node.watch()
	first := node.index()
	has4 := func(i Interface) bool { return has(i, func(a Address) bool { return a.Prefix.Addr() == vip4 }) }
	gone := func(name string, index int) func(Event) bool {
		return func(e Event) bool { return e == Event(InterfaceGone{Name: name, Index: index}) }
	}

	peer.ip("link", "set", "eth0", "down")
	told.until("carrier lost; the IPv4 address stays", changed("eth0", func(i Interface) bool {
		return !i.Up && has(i, func(a Address) bool { return a.Prefix == netip.MustParsePrefix("192.0.2.11/24") })
	}))
	peer.ip("link", "set", "eth0", "up")
	told.until("carrier back", changed("eth0", func(i Interface) bool { return i.Up }))

	node.ip("addr", "add", "192.0.2.10/32", "dev", "eth0")
	told.until("address added", changed("eth0", has4))
	node.ip("addr", "del", "192.0.2.10/32", "dev", "eth0")
	events := told.until("address removed", changed("eth0", func(i Interface) bool { return !has4(i) }))
	if len(events) < 2 || events[len(events)-2] != Event(AddressRemoved{"eth0", netip.MustParsePrefix("192.0.2.10/32")}) {
		t.Errorf("removal is told before the new state: %+v", events)
	}

	node.ip("link", "set", "eth0", "name", "lan0")
	told.until("the old name gone", gone("eth0", first))
	told.until("the new name", changed("lan0", func(i Interface) bool { return i.Index == first }))
	node.ip("link", "set", "lan0", "name", "eth0")
	told.until("the old name back", changed("eth0", func(i Interface) bool { return i.Index == first }))

	node.ip("link", "set", "eth0", "address", macOther.String())
	told.until("another MAC", changed("eth0", func(i Interface) bool { return i.MAC.String() == macOther.String() }))

	node.ip("link", "del", "eth0")
	told.until("interface gone", gone("eth0", first))
	node.join(peer)
	told.until("interface made anew", changed("eth0", func(i Interface) bool { return i.Index != first && i.Up }))
}

func TestWatchReadsAddressesOfAllKinds(t *testing.T) {
	node, peer := newSegment(t)
	peer.ip("addr", "add", "2001:db8::13/64", "dev", "eth0", "nodad")
	node.sysctl("net/ipv6/conf/eth0/accept_dad", "1")
	told := node.watch()
	for _, addr := range []string{
		"192.0.2.12/24",
		"198.51.100.1 peer 198.51.100.2/30",
		"198.51.100.9/32 valid_lft 3600 preferred_lft 0",
		"2001:db8::12 peer 2001:db8:1::12/64 nodad",
		"2001:db8::14/64 valid_lft 3600 preferred_lft 0 nodad",
		"2001:db8::13/64",
	} {
		node.ip(append([]string{"addr", "add", "dev", "eth0"}, strings.Fields(addr)...)...)
	}
	want := []Address{
		{Prefix: netip.MustParsePrefix("192.0.2.11/24")},
		{Prefix: netip.MustParsePrefix("192.0.2.12/24"), Secondary: true},
		// Point to point: the length is that of the peer's subnet.
		{Prefix: netip.MustParsePrefix("198.51.100.1/32")},
		{Prefix: netip.MustParsePrefix("198.51.100.9/32"), Finite: true, Deprecated: true},
		{Prefix: netip.MustParsePrefix("2001:db8::11/64")},
		{Prefix: netip.MustParsePrefix("2001:db8::12/128")},
		{Prefix: netip.MustParsePrefix("2001:db8::13/64"), Tentative: true, DADFailed: true},
		{Prefix: netip.MustParsePrefix("2001:db8::14/64"), Finite: true, Deprecated: true},
		{Prefix: netip.MustParsePrefix("fe80::ff:fe00:a/64")},
	}
	told.until("all of them by events", changed("eth0", func(i Interface) bool { return slices.Equal(i.Addrs, want) }))
	whole := []Event{
		InterfaceChanged{Interface{Name: "lo", Index: 1}},
		InterfaceChanged{Interface{Name: "eth0", Index: node.index(), MAC: macA, Up: true, Addrs: want}},
		Synced{},
	}
	if diff := cmp.Diff(whole, node.listing(), comparePrefixes); diff != "" {
		t.Errorf("by listing (-want +got):\n%s", diff)
	}
}

func TestWatchIsSilentAboutRefreshes(t *testing.T) {
	node, _ := newSegment(t)
	holder := node.holder()
	mustHold(t, holder, time.Minute)
	told := node.watch()
	mustHold(t, holder, time.Hour)
	mustHold(t, holder, time.Minute)
	node.ip("addr", "add", "192.0.2.99/32", "dev", "eth0")
	events := told.until("the address that marks the end", func(Event) bool { return true })
	if !changed("eth0", func(i Interface) bool {
		return has(i, func(a Address) bool { return a.Prefix.Addr() == netip.MustParseAddr("192.0.2.99") })
	})(events[0]) {
		t.Errorf("told %+v", events)
	}
}

// A bridge tells that a port left it by the message that tells that an interface
// is gone, in the same group.
func TestWatchKeepsInterfacesThatLeaveABridge(t *testing.T) {
	node, _ := newSegment(t)
	node.ip("link", "add", "br0", "type", "bridge")
	told := node.watch()
	node.ip("link", "set", "eth0", "master", "br0")
	node.ip("link", "set", "eth0", "nomaster")
	node.ip("link", "del", "br0")
	for _, e := range told.until("the bridge gone", func(e Event) bool {
		g, ok := e.(InterfaceGone)
		return ok && g.Name == "br0"
	}) {
		if g, ok := e.(InterfaceGone); ok && g.Name == "eth0" {
			t.Errorf("told %+v", g)
		}
	}
}

// The receiver stands still while more happens than its buffer holds.
func TestWatchListsAgainAfterLoss(t *testing.T) {
	node, _ := newSegment(t)
	r := recorder{t: t, events: make(chan Event, 4096)}
	stand, goOn := make(chan struct{}), make(chan struct{})
	node.start(func(ctx context.Context) error {
		w, err := openWatch(1) // the kernel makes it its minimum
		if err != nil {
			return err
		}
		defer w.close()
		stood := false
		return w.run(ctx, func(e Event) {
			if isSynced(e) && !stood {
				stood = true
				close(stand)
				<-goOn
			}
			r.events <- e
		})
	})
	<-stand
	for i := range 100 {
		node.ip("addr", "add", fmt.Sprintf("198.51.100.%d/32", i), "dev", "eth0")
	}
	node.ip("addr", "del", "192.0.2.11/24", "dev", "eth0")
	close(goOn)
	r.until("the first listing", isSynced)
	last := Interface{}
	r.until("everything listed again", func(e Event) bool {
		if c, ok := e.(InterfaceChanged); ok {
			last = c.Interface
		}
		return isSynced(e)
	})
	// 100 added, one removed, two of IPv6.
	if len(last.Addrs) != 102 || has(last, func(a Address) bool { return a.Prefix.Addr() == netip.MustParseAddr("192.0.2.11") }) {
		t.Errorf("%d addresses: %+v", len(last.Addrs), last.Addrs)
	}
	node.ip("addr", "add", "192.0.2.10/32", "dev", "eth0")
	r.until("what happens later", changed("eth0", func(i Interface) bool {
		return has(i, func(a Address) bool { return a.Prefix.Addr() == vip4 })
	}))
}
