package flow

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	a4 = netip.MustParseAddr("192.0.2.11")
	a6 = netip.MustParseAddr("2001:db8::11")
	b4 = netip.MustParseAddr("192.0.2.12")

	byValue = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
)

// keys of the VIP on interface 2, by hand.
var (
	eth0   = string(encodeIndex(2))
	lo     = string(encodeIndex(1))
	port4  = "\x19\x2b\x00\x00"
	bytes4 = string(vip4.AsSlice())
	bytes6 = string(vip6.AsSlice())
)

func TestElements(t *testing.T) {
	second := func(set, key, value string) element {
		e := element{set: set, key: []byte(key), timeout: time.Second}
		if value != "" {
			e.value = []byte(value)
		}
		return e
	}
	base := part{vip: vip4, port: 6443, index: 2, role: Owner, lifetime: time.Second}
	rows := []struct {
		name  string
		part  func(*part)
		guard bool
		want  []element
	}{
		{"an owner without a predecessor sends nothing on", func(*part) {}, true, []element{
			second(setVIPs, eth0+bytes4, ""),
			second(mapOut, bytes4, eth0+port4),
			second(setOwned, eth0+bytes4+port4, ""),
			second(setOwned, lo+bytes4+port4, ""),
		}},
		{"an owner with one sends to it, and believes its own address from outside", func(p *part) { p.prev = a4 }, true, []element{
			second(setVIPs, eth0+bytes4, ""),
			second(mapOut, bytes4, eth0+port4),
			second(setOwned, eth0+bytes4+port4, ""),
			second(setOwned, lo+bytes4+port4, ""),
			second(mapPrev, bytes4, string(a4.AsSlice())),
			second(setGuarded, eth0, ""),
		}},
		{"not without the rule that bounds it", func(p *part) { p.prev = a4 }, false, []element{
			second(setVIPs, eth0+bytes4, ""),
			second(mapOut, bytes4, eth0+port4),
			second(setOwned, eth0+bytes4+port4, ""),
			second(setOwned, lo+bytes4+port4, ""),
			second(mapPrev, bytes4, string(a4.AsSlice())),
		}},
		{"IPv6 needs no such belief, but asks as itself", func(p *part) { p.vip, p.prev, p.own = vip6, a6, a6 }, true, []element{
			second(setVIPs, eth0+bytes6, ""),
			second(mapOut, bytes6, eth0+port4),
			second(setOwned, eth0+bytes6+port4, ""),
			second(setOwned, lo+bytes6+port4, ""),
			second(mapAsks, bytes6, string(a6.AsSlice())),
			second(mapPrev, bytes6, string(a6.AsSlice())),
		}},
		{"a shadow sends to the owner, or down the chain, and leaves its own clients alone",
			func(p *part) { p.role, p.owner, p.prev = Shadow, a4, b4 }, true, []element{
				second(setVIPs, eth0+bytes4, ""),
				second(mapOut, bytes4, eth0+port4),
				second(setShadowed, eth0+bytes4+port4, ""),
				second(mapOwners, bytes4, string(a4.AsSlice())),
				second(mapPrev, bytes4, string(b4.AsSlice())),
			}},
	}
	for _, row := range rows {
		p := base
		row.part(&p)
		got := elements([]part{p}, row.guard)
		if diff := cmp.Diff(row.want, got, cmp.AllowUnexported(element{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.name, diff)
		}
		// What is written reads back as what it says.
		want := map[netip.Addr]present{p.vip: {p.role, p.prev, p.owner}}
		if diff := cmp.Diff(want, presence(got, p.vip.Is6()), cmp.AllowUnexported(present{}), byValue); diff != "" {
			t.Errorf("%s, read back (-want +got):\n%s", row.name, diff)
		}
	}
}

func TestGuardLastsAsLongAsAnyGroupNeedsIt(t *testing.T) {
	short := part{vip: vip4, port: 6443, index: 2, role: Owner, prev: a4, lifetime: time.Second}
	long := part{vip: netip.MustParseAddr("192.0.2.9"), port: 6443, index: 2, role: Owner, prev: a4, lifetime: time.Minute}
	var got []time.Duration
	for _, e := range elements([]part{short, long}, true) {
		if e.set == setGuarded {
			got = append(got, e.timeout)
		}
	}
	if diff := cmp.Diff([]time.Duration{time.Minute}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPresenceOfGarbage(t *testing.T) {
	got := presence([]element{{set: setOwned}, {set: setShadowed, key: []byte{1}}, {set: mapPrev, key: []byte{1, 2}}, {set: mapPrev, key: vip4.AsSlice()}}, false)
	if diff := cmp.Diff(map[netip.Addr]present{vip4: {}}, got, cmp.AllowUnexported(present{}), byValue); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTransition(t *testing.T) {
	rows := []struct {
		name           string
		before         present
		role           Role
		prev, owner    netip.Addr
		settle, forget bool
	}{
		{"a backup becomes owner: old entries of @seen are wrong", present{}, Owner, a4, netip.Addr{}, true, true},
		{"a shadow becomes owner again: they are wrong too", present{role: Shadow, owner: a4}, Owner, a4, netip.Addr{}, true, true},
		{"an owner becomes shadow: connections may still be opening", present{role: Owner}, Shadow, netip.Addr{}, b4, true, false},
		{"an owner stays: nothing", present{role: Owner, prev: a4}, Owner, a4, netip.Addr{}, false, false},
		{"an owner's predecessor is gone: the chain is another", present{role: Owner, prev: a4}, Owner, netip.Addr{}, netip.Addr{}, true, false},
		{"a shadow hears of another owner: the chain is another", present{role: Shadow, owner: a4}, Shadow, netip.Addr{}, b4, true, false},
	}
	for _, row := range rows {
		p := part{vip: vip4, role: row.role, prev: row.prev, owner: row.owner}
		got := transitionTo([]part{p}, map[netip.Addr]present{vip4: row.before})
		var want transition
		if row.settle {
			want.settle = []netip.Addr{vip4}
		}
		if row.forget {
			want.forget = []netip.Addr{vip4}
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(transition{}), byValue); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.name, diff)
		}
	}
}

func TestOpened(t *testing.T) {
	rows := []struct {
		name string
		key  string
		v6   bool
		want netip.Addr
	}{
		{"IPv4", string(a4.AsSlice()) + "\xb2\x6e\x00\x00" + bytes4 + port4, false, vip4},
		{"IPv6", string(a6.AsSlice()) + "\xb2\x6e\x00\x00" + bytes6 + port4, true, vip6},
		{"too short", "\x01\x02", true, netip.Addr{}},
	}
	for _, row := range rows {
		if got := opened([]byte(row.key), row.v6); got != row.want {
			t.Errorf("%s: %s, want %s", row.name, got, row.want)
		}
	}
}
