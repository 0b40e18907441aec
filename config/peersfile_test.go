package config

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadPeers(t *testing.T) {
	for _, row := range []struct {
		name string
		file string
		want []netip.Addr
		err  string
	}{
		{"an empty file has no peers", "", nil, ""},
		{"comments and blank lines are skipped", "# nodes\n\n  # cp1\n", nil, ""},
		{"one address a line, in the order of the file", "192.0.2.12\n\t192.0.2.11  # cp1\r\n2001:db8::1", addresses("192.0.2.12", "192.0.2.11", "2001:db8::1"), ""},
		{"an address that stands twice counts once", "2001:db8::1\n2001:DB8:0::1\n", addresses("2001:db8::1"), ""},
		{
			"every line that is wrong is reported",
			"192.0.2.11\n192.0.2.12 192.0.2.13\n\ncp1\n224.0.0.18\n192.0.2.14/32\n\xff\n",
			nil,
			"line 2: \"192.0.2.12 192.0.2.13\" is no IP address\n" +
				"line 4: cp1 is no IP address\n" +
				"line 5: 224.0.0.18 is a multicast address\n" +
				"line 6: 192.0.2.14/32 is no IP address\n" +
				"line 7: \"\\xff\" is no IP address",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := ReadPeers([]byte(row.file))
			if diff := cmp.Diff(row.want, got, addressesEqual()); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
			text := ""
			if err != nil {
				text = err.Error()
			}
			if diff := cmp.Diff(row.err, text); diff != "" {
				t.Errorf("error: want -, got +:\n%s", diff)
			}
		})
	}
}

func TestCheckPeers(t *testing.T) {
	c := parsed(t, "vips: [{addresses: [192.0.2.10]}, {addresses: [\"2001:db8::20\"]}]")
	if err := c.CheckPeers(c.VIPs[0], addresses("192.0.2.11", "192.0.2.12")); err != nil {
		t.Errorf("nodes of the adverts' family: %v", err)
	}
	err := c.CheckPeers(c.VIPs[1], addresses("2001:db8::1", "192.0.2.11", "2001:db8::20"))
	want := "192.0.2.11 is IPv4, and the group's adverts are IPv6, as its first address\n" +
		"2001:db8::20 is a VIP; write the node's own address"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
