package vip

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestMisplaced(t *testing.T) {
	list := func(prefixes ...string) []addressMessage {
		var l []addressMessage
		for _, p := range prefixes {
			l = append(l, addressMessage{Address: Address{Prefix: netip.MustParsePrefix(p)}})
		}
		return l
	}
	secondary := list("192.0.2.12/24", "192.0.2.10/32", "192.0.2.11/24")
	secondary[0].Secondary = true
	link := list("169.254.0.1/16", "192.0.2.10/32", "192.0.2.11/24")
	link[0].scope = unix.RT_SCOPE_LINK
	tests := []struct {
		name   string
		listed []addressMessage
		want   []string
	}{
		{"behind the own address: in place", list("192.0.2.11/24", "192.0.2.10/32"), nil},
		{"before the own address", list("192.0.2.10/32", "192.0.2.11/24"), []string{"192.0.2.10"}},
		{"both VIPs of the group before it", list("192.0.2.10/32", "192.0.2.9/32", "192.0.2.11/24"), []string{"192.0.2.10", "192.0.2.9"}},
		{"one before, one behind", list("192.0.2.10/32", "192.0.2.11/24", "192.0.2.9/32"), []string{"192.0.2.10"}},
		{"another group's VIP is no own address", list("192.0.2.8/32", "192.0.2.10/32", "192.0.2.11/24"), []string{"192.0.2.10"}},
		{"a node's own /32 is one", list("192.0.2.11/32", "192.0.2.10/32"), nil},
		{"a secondary address is never picked as source", secondary, []string{"192.0.2.10"}},
		{"an address of link scope neither", link, []string{"192.0.2.10"}},
		{"no own address: no order is better", list("192.0.2.10/32", "192.0.2.8/32"), nil},
		{"the VIP is not there", list("192.0.2.11/24"), nil},
	}
	group := []netip.Addr{netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("192.0.2.9"), vip6}
	held := func(a netip.Addr) bool {
		return a == netip.MustParseAddr("192.0.2.8") || a == group[0] || a == group[1]
	}
	for _, tt := range tests {
		var got []string
		for _, a := range misplaced(tt.listed, group, held) {
			got = append(got, a.String())
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}
