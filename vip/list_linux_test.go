package vip

import (
	"net/netip"
	"slices"
	"testing"
)

// A listing has what is there, with carrier and addresses.
func TestList(t *testing.T) {
	node, _ := newSegment(t)
	await(t, "eth0 to be up with its address", func() bool {
		var all []Interface
		var err error
		node.do(func() { all, err = List() })
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(all, func(i Interface) bool {
			return i.Name == "eth0" && i.Up && slices.ContainsFunc(i.Addrs, func(a Address) bool { return a.Prefix == netip.MustParsePrefix("192.0.2.11/24") })
		})
	})
}
