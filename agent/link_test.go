package agent

import (
	"net/netip"
	"testing"

	"github.com/vipd/vipd/config"
)

func TestAddressToAdvertiseFrom(t *testing.T) {
	const (
		four = `vips: [{addresses: [192.0.2.10], interface: eth0}]`
		six  = `vips: [{addresses: ["2001:db8::10"], interface: eth0}]`
	)
	rows := []struct {
		name   string
		file   string
		listed []string
		now    string // advertised from at present
		want   string
	}{
		{"RFC 9568 5.1.1.1: the first IPv4 address", four, []string{"fe80::11/64", "192.0.2.11/24", "192.0.2.12/24"}, "", "192.0.2.11"},
		{"the one whose subnet the VIP is in before others", four, []string{"198.51.100.1/24", "192.0.2.11/24"}, "", "192.0.2.11"},
		{"one with a subnet before one without", four, []string{"203.0.113.1/32", "198.51.100.1/24"}, "", "198.51.100.1"},
		{"the one in use stays: the tie rule goes by it", four, []string{"192.0.2.11/24", "198.51.100.1/24"}, "198.51.100.1", "198.51.100.1"},
		{"one that is gone does not", four, []string{"192.0.2.11/24"}, "198.51.100.1", "192.0.2.11"},
		{"never a VIP", four, []string{"192.0.2.10/32"}, "", ""},
		{"RFC 9568 5.1.2.1: the link-local IPv6 address", six, []string{"192.0.2.11/24", "2001:db8::11/64", "fe80::11/64"}, "", "fe80::11"},
		{"IPv6 without a link-local address: none", six, []string{"2001:db8::11/64"}, "", ""},
		{"IPv6 peers that are not link-local: a global one", `vips: [{addresses: ["2001:db8::10"], interface: eth0, vrrp: {peers: ["2001:db8::12"]}}]`, []string{"fe80::11/64", "2001:db8::11/64"}, "", "2001:db8::11"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			c, err := config.Parse("vipd.yaml", []byte(row.file))
			if err != nil {
				t.Fatal(err)
			}
			g := &group{agent: New(Options{Config: c, Edges: Edges{Flows: oldKernel{}}}), cfg: c.VIPs[0]}
			if row.now != "" {
				g.own = netip.MustParseAddr(row.now)
			}
			i := Interface{Name: "eth0"}
			for _, p := range row.listed {
				i.Addresses = append(i.Addresses, Address{Prefix: netip.MustParsePrefix(p)})
			}
			var want netip.Addr
			if row.want != "" {
				want = netip.MustParseAddr(row.want)
			}
			if got := g.chooseOwn(i); got != want {
				t.Errorf("advertises from %v, want %v", got, want)
			}
		})
	}
}

func TestAddressThatIsNotUsableIsNotAdvertisedFrom(t *testing.T) {
	c, err := config.Parse("vipd.yaml", []byte(apiserver))
	if err != nil {
		t.Fatal(err)
	}
	g := &group{agent: New(Options{Config: c, Edges: Edges{Flows: oldKernel{}}}), cfg: c.VIPs[0]}
	got := g.chooseOwn(Interface{Addresses: []Address{
		{Prefix: netip.MustParsePrefix("192.0.2.11/24"), Unusable: true},
		{Prefix: netip.MustParsePrefix("192.0.2.12/24")},
	}})
	if want := netip.MustParseAddr("192.0.2.12"); got != want {
		t.Errorf("advertises from %v, want %v", got, want)
	}
}
