package vip

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestQuestionFrames(t *testing.T) {
	linkLocal := netip.MustParseAddr("fe80::ff:fe00:a")
	tests := []struct {
		name   string
		source netip.Addr
		addr   netip.Addr
		golden string
	}{
		{"IPv4: RFC 5227 2.1.1 probe with sender 0.0.0.0", netip.IPv6Unspecified(), vip4, "question-arp-probe"},
		{"IPv6: RFC 4861 4.3 solicitation with source link-layer option", linkLocal, vip6, "question-solicitation"},
		{"IPv6 without an own address: no source link-layer option", netip.IPv6Unspecified(), vip6, "question-solicitation-unspecified"},
	}
	for _, tt := range tests {
		frame, err := question(macA, tt.source, tt.addr)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		compareFrame(t, tt.golden, frame)
	}
}

func TestSolicitationSource(t *testing.T) {
	global := Address{Prefix: netip.MustParsePrefix("2001:db8::11/64")}
	linkLocal := Address{Prefix: netip.MustParsePrefix("fe80::1/64")}
	tentative := Address{Prefix: netip.MustParsePrefix("fe80::2/64"), Tentative: true}
	failed := Address{Prefix: netip.MustParsePrefix("fe80::3/64"), DADFailed: true}
	ipv4 := Address{Prefix: netip.MustParsePrefix("192.0.2.11/24")}
	tests := []struct {
		name string
		own  []Address
		want string
	}{
		{"link-local is preferred", []Address{global, linkLocal}, "fe80::1"},
		{"global serves when there is no link-local", []Address{global, ipv4}, "2001:db8::11"},
		{"tentative and duplicate addresses must not be used", []Address{tentative, failed}, "::"},
		{"none", nil, "::"},
	}
	for _, tt := range tests {
		if got := solicitationSource(tt.own); got.String() != tt.want {
			t.Errorf("%s: got %v, want %s", tt.name, got, tt.want)
		}
	}
}

func TestControlAddressesNobodyShouldHave(t *testing.T) {
	tests := []struct {
		name string
		own  []string
		addr string
		want int
	}{
		{"IPv4 subnet", []string{"192.0.2.11/24"}, "192.0.2.10", 3},
		{"IPv6 subnet", []string{"2001:db8::11/64", "fe80::1/64"}, "2001:db8::10", 3},
		{"the smallest of nested subnets", []string{"192.0.0.11/16", "192.0.2.11/24"}, "192.0.2.10", 3},
		{"three free addresses are just enough", []string{"192.0.2.11/29", "192.0.2.12/32"}, "192.0.2.10", 3},
		{"two hosts: too small to tell", []string{"192.0.2.9/30"}, "192.0.2.10", 0},
		{"point to point, RFC 3021: nobody else can be there", []string{"192.0.2.11/31"}, "192.0.2.10", 0},
		{"VIP in no own subnet", []string{"198.51.100.11/24"}, "192.0.2.10", 0},
		{"the VIP's own /32 is no subnet", []string{"192.0.2.10/32"}, "192.0.2.10", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var own []Address
			taken := map[netip.Addr]bool{netip.MustParseAddr(tt.addr): true}
			for _, p := range tt.own {
				prefix := netip.MustParsePrefix(p)
				own = append(own, Address{Prefix: prefix})
				taken[prefix.Addr()] = true
			}
			subnet, _ := subnetOf(netip.MustParseAddr(tt.addr), own)
			for seed := range uint64(200) {
				got := controlAddresses(netip.MustParseAddr(tt.addr), own, rand.New(rand.NewPCG(seed, 0)))
				if len(got) != tt.want {
					t.Fatalf("seed %d: %d addresses, want %d", seed, len(got), tt.want)
				}
				asked := map[netip.Addr]bool{}
				for _, a := range got {
					if taken[a] || asked[a] || !subnet.Contains(a) || !isHost(a, subnet) {
						t.Errorf("seed %d: %s of %v", seed, a, got)
					}
					asked[a] = true
				}
			}
		})
	}
}

func TestSubnetOf(t *testing.T) {
	own := []Address{
		{Prefix: netip.MustParsePrefix("192.0.0.11/16")},
		{Prefix: netip.MustParsePrefix("192.0.2.11/24")},
		{Prefix: netip.MustParsePrefix("192.0.2.10/32")},
	}
	got, ok := subnetOf(vip4, own)
	if diff := cmp.Diff("192.0.2.0/24", got.String()); diff != "" || !ok {
		t.Errorf("ok %v (-want +got):\n%s", ok, diff)
	}
}
