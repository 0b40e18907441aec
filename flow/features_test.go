package flow

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// A kernel that lacks one thing: it is named, and what hangs on it is told.
func TestFeaturesThatAreMissing(t *testing.T) {
	rows := []struct {
		lacks  Feature
		family Family
		text   string
		v4, v6 bool
		resets bool
		local  bool
		flush  bool
	}{
		{"", "", "complete", true, true, true, true, true},
		{SocketMatch, IPv4, "missing: socket wildcard (nft_socket) for IPv4: operation not supported", false, true, true, true, true},
		{Duplication, IPv6, "missing: dup (nft_dup) for IPv6: operation not supported", true, false, true, true, true},
		{SetTimeout, IPv4, "missing: timeouts of set elements for IPv4: operation not supported", false, true, true, true, true},
		{DynamicSet, IPv6, "missing: sets filled by rules for IPv6: operation not supported", true, false, true, true, true},
		{HeaderWrite, IPv4, "missing: writing to headers for IPv4: operation not supported", false, true, true, true, true},
		{NFTables, IPv4, "missing: nftables for IPv4: operation not supported", false, true, true, true, true},
		{FibMatch, IPv4, "missing: fib (nft_fib) for IPv4: operation not supported", true, true, true, false, true},
		{SocketDestroy, Both, "missing: SOCK_DESTROY (INET_DIAG_DESTROY) for IPv4 and IPv6: operation not supported", true, true, false, true, true},
		{TableOwner, Both, "missing: tables with an owner that persist for IPv4 and IPv6: operation not supported", true, true, true, true, false},
	}
	for _, row := range rows {
		var probes []probe
		for _, f := range []Feature{NFTables, SetTimeout, DynamicSet, SocketMatch, Duplication, HeaderWrite, FibMatch, SocketDestroy, TableOwner} {
			for _, family := range []Family{IPv4, IPv6, Both} {
				probes = append(probes, probe{f, family, func() error {
					if f == row.lacks && family == row.family {
						return unix.EOPNOTSUPP
					}
					return nil
				}})
			}
		}
		f := probeAll(probes)
		if f.String() != row.text {
			t.Errorf("%q, want %q", f, row.text)
		}
		got := [...]bool{f.Handover(IPv4), f.Handover(IPv6), f.Resets(), f.LocalClients(), f.FlushProof()}
		if want := [...]bool{row.v4, row.v6, row.resets, row.local, row.flush}; got != want {
			t.Errorf("%s: IPv4, IPv6, resets, local clients, flush proof: %v, want %v", row.text, got, want)
		}
		if row.lacks != "" && !errors.Is(f.Missing[0].Err, unix.EOPNOTSUPP) {
			t.Errorf("%s: %v", row.text, f.Missing[0].Err)
		}
	}
}
