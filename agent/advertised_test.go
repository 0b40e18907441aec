package agent

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/config"
)

// RFC 9568 5.2.9: adverts list the addresses of their own family; over IPv6 a
// link-local one comes first, wherever it stands in the configuration.
func TestAdvertisedAddresses(t *testing.T) {
	rows := []struct {
		name, addresses string
		want            []string
	}{
		{"IPv4: those of IPv6 are left out", `192.0.2.10, "2001:db8::10", 192.0.2.20`, []string{"192.0.2.10", "192.0.2.20"}},
		{"IPv6: those of IPv4 are left out", `"2001:db8::10", 192.0.2.10`, []string{"2001:db8::10"}},
		{"IPv6: link-local first, the others as they are", `"2001:db8::20", "2001:db8::10", "fe80::10"`, []string{"fe80::10", "2001:db8::20", "2001:db8::10"}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			c, err := config.Parse("vipd.yaml", []byte("vips: [{addresses: ["+row.addresses+"], interface: eth0}]"))
			if err != nil {
				t.Fatal(err)
			}
			g := &group{agent: &Agent{config: c}, cfg: c.VIPs[0]}
			want := make([]netip.Addr, 0, len(row.want))
			for _, a := range row.want {
				want = append(want, netip.MustParseAddr(a))
			}
			got := g.prepare().Addresses
			if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
				t.Errorf("advertised (-want +got):\n%s", diff)
			}
		})
	}
}
