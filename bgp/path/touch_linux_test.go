package path

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/vipd/vipd/flow"
	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/labtest"
)

// connects is the word that makes the test's binary ask by connecting only.
const connects = "connect"

// connectAs asks for a VIP through a router, and says what is wrong.
func connectAs(vip, router string) string {
	vips, routers := []netip.AddrPort{netip.MustParseAddrPort(vip)}, []netip.Addr{netip.MustParseAddr(router)}
	if err := NewProver(flow.AcceptLocal).Prove(context.Background(), vips, URL{}, routers); err != nil {
		return err.Error()
	}
	return "served"
}

// With SYN cookies the server's end of a connection is made of a packet after the
// handshake. Here the handshake's own last one is lost, as under load.
func TestAConnectionThatTheServerDoesNotKnowYetProvesNothing(t *testing.T) {
	labtest.Require(t, "nft")
	for _, row := range []struct {
		name string
		lead func(g ground, node, other *lab.Host) *lab.Host
		want string
	}{
		{"the router still sends here", func(_ ground, node, _ *lab.Host) *lab.Host { return node }, "the router still sends to this node"},
		{"the router sends to another node", func(_ ground, _, other *lab.Host) *lab.Host { return other }, "served"},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := newGround(t)
			node := g.Hosts[0]
			for _, h := range g.Hosts {
				g.on(h, "sh", "-c", "echo 2 > /proc/sys/net/ipv4/tcp_syncookies")
			}
			g.lead(map[*lab.Host]int{row.lead(g, node, g.Hosts[1]): 1})
			g.on(g.Router, "nft", "add table ip lossy; add chain ip lossy forward { type filter hook forward priority 0; }; "+
				fmt.Sprintf("add rule ip lossy forward ip daddr %s tcp dport %d tcp flags & (syn | ack | psh | fin) == ack drop", vip4(), port))
			got, err := node.Run(g.ctx(), labtest.Self(t), connects, netip.AddrPortFrom(vip4(), port).String(), g.Router.Addr4.String())
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(got, row.want) {
				t.Errorf("it says %q, and should %q", got, row.want)
			}
		})
	}
}
