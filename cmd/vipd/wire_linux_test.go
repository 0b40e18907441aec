package main

import (
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/vip"
)

func TestWhoClaimsTheVIP(t *testing.T) {
	station, err := net.ParseMAC("02:00:00:00:00:0d")
	if err != nil {
		t.Fatal(err)
	}
	claim := vip.Claim{Interface: "eth0", Addr: netip.MustParseAddr("2001:db8::10"), MAC: station}
	asking := claim
	asking.Tentative = true
	rows := []struct {
		name  string
		claim vip.Claim
		want  []string
	}{
		{"a station that says it has the VIP is another owner", claim, []string{"2001:db8::10 02:00:00:00:00:0d"}},
		{"RFC 4862 5.4: one that asks whether the address is free is none", asking, nil},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			var got []string
			ofOwners(func(addr netip.Addr, mac string) { got = append(got, addr.String()+" "+mac) })(row.claim)
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("claims (-want +got):\n%s", diff)
			}
		})
	}
}
