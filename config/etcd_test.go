package config

import (
	"fmt"
	"strings"
	"testing"
)

// etcd takes a limited number of comparisons in one transaction.
func TestAsManyAddressesAsEtcdComparesAtOnce(t *testing.T) {
	for _, row := range []struct {
		name, election string
		count          int
		want           string
	}{
		{"60 by etcd", "etcd", 60, ""},
		{"61 by etcd", "etcd", 61, "f:1: vips[0].addresses: 61 of them are more than etcd compares at once with election: etcd; write at most 60, and another group for the others"},
		{"61 by VRRP", "vrrp", 61, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			var all []string
			for i := range row.count {
				all = append(all, fmt.Sprintf("192.0.2.%d", 10+i))
			}
			got := ""
			if _, err := Parse("f", []byte("vips: [{addresses: ["+strings.Join(all, ", ")+"], election: "+row.election+"}]\n")); err != nil {
				got = err.Error()
			}
			if got != row.want {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}
