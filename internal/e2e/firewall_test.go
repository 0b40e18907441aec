package e2e

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/scene"
)

// A host's firewall must not make vipd deaf. The counter shows that it would
// have made deaf what listens on a raw socket.
func TestFirewallThatDropsAdverts(t *testing.T) {
	tests := []struct {
		name string
		vip  netip.Addr
		// rules of a chain for incoming packets; a packet that meets an accept is through.
		rules string
	}{
		{"VRRP is dropped", lab.VIP4(), "meta l4proto 112 counter drop; accept"},
		{"all but TCP is dropped", lab.VIP4(), "meta l4proto 112 counter; meta l4proto tcp accept; drop"},
		{"all but TCP and ICMPv6 is dropped", lab.VIP6(), "meta l4proto 112 counter; meta l4proto { tcp, ipv6-icmp } accept; drop"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			const hook = "type filter hook input priority 0; "
			load := func(h *lab.Host) error {
				_, err := h.RunInput(t.Context(), "table inet strict\ndelete table inet strict\n"+
					"table inet strict { chain input { "+hook+tt.rules+"; }; }\n", "nft", "-f", "-")
				return err
			}
			s := open(t, setup{hosts: 2, vips: []netip.Addr{tt.vip}, config: withVRID, before: load})
			o := s.try(scene.CableCut())
			s.mend(o)
			s.settleOn(o.Successor)
			for _, h := range s.others(o.Successor) {
				if ruleset := s.run(h, "nft", "list", "table", "inet", "strict"); strings.Contains(ruleset, "counter packets 0 ") {
					s.t.Errorf("no advert came to the firewall of %s:\n%s", h, ruleset)
				}
			}
		})
	}
}
