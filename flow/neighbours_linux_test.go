package flow

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// A client whose neighbour cache is stuck at the old owner is served: the shadow
// sends what is new to the owner.
func TestStaleNeighbourCaches(t *testing.T) {
	for _, vip := range vips {
		t.Run(vip.String(), func(t *testing.T) {
			c := newCluster(t, "a", "b", "c")
			a := c.nodes["a"]
			tr := c.load(10, vip)
			tr.flows()
			// Nothing the new owner announces changes a permanent entry.
			c.client.ip("neigh", "replace", vip.String(), "lladdr", a.mac(), "dev", "eth0", "nud", "permanent")
			c.move("b")
			tr.flows()
			if _, by, err := c.client.dial(vip, c.port); err != nil || by != "b" {
				t.Errorf("a new connection by way of the shadow reaches %s, %v", by, err)
			}
			c.move("c")
			tr.flows()
			if _, by, err := c.client.dial(vip, c.port); err != nil || by != "c" {
				t.Errorf("a new connection by way of the shadow reaches %s, %v", by, err)
			}
			tr.stop()
		})
	}
}

// The shadow is silent: it neither answers for a VIP, nor says that it has one
// when it asks for its clients.
func TestShadowIsSilent(t *testing.T) {
	c := newCluster(t, "a", "b")
	tr := c.load(10, vips...)
	tr.flows()
	c.move("b")
	a, b := c.nodes["a"], c.nodes["b"]
	a.nft(`table arp heard { counter said { }; chain out { type filter hook output priority 0; arp saddr ip ` + vip4.String() + ` counter name said; }; }
		table ip6 heard { counter said { }; chain out { type filter hook output priority 0; icmpv6 type { 135, 136 } ip6 saddr ` + vip6.String() + ` counter name said; }; }`)
	for range 5 {
		for _, vip := range vips {
			c.client.ip("neigh", "flush", "to", vip.String())
			if _, by, err := c.client.dial(vip, c.port); err != nil || by != "b" {
				t.Errorf("%s answers for %s, %v", by, vip, err)
			}
			if entry := c.client.ip("neigh", "show", "to", vip.String()); !strings.Contains(entry, b.mac()) {
				t.Errorf("the client took %q, want %s", entry, b.mac())
			}
		}
		for _, client := range []netip.Addr{c.client.addr4, c.client.addr6} {
			a.ip("neigh", "flush", "to", client.String())
		}
		tr.flows()
	}
	tr.stop()
	for _, family := range []string{"arp", "ip6"} {
		if got := a.run("nft", "list", "counter", family, "heard", "said"); !strings.Contains(got, "packets 0 ") {
			t.Errorf("the shadow spoke: %s", got)
		}
	}
}

// A dead node in the middle of the chain is left out, and nothing else breaks.
func TestDeadNodeIsBypassed(t *testing.T) {
	for _, vip := range vips {
		t.Run(vip.String(), func(t *testing.T) {
			c := newCluster(t, "a", "b", "c")
			conn := c.client.must(vip, c.port, "a")
			c.move("b")
			c.move("c")
			b := c.nodes["b"]
			b.ip("link", "set", "eth0", "down")
			c.order = slices.DeleteFunc(c.order, func(n *node) bool { return n == b })
			for _, n := range c.order {
				c.apply(n)
			}
			if err := echo(conn, "still there"); err != nil {
				t.Error(err)
			}
		})
	}
}

// A node of which only the MAC is known is a next hop as well.
func TestNextHopByMAC(t *testing.T) {
	c := newCluster(t, "a", "b")
	tr := c.load(10, vips...)
	tr.flows()
	c.byMAC = true
	// A default route must not draw the reserved address.
	c.nodes["b"].ip("route", "add", "default", "via", c.client.addr4.String())
	c.nodes["a"].ip("route", "add", "default", "via", c.client.addr4.String())
	c.move("b")
	tr.flows()
	c.move("a")
	tr.flows()
	tr.stop()
	for _, n := range c.order {
		if err := n.flow.Remove(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"-4", "neigh", "show", "nud", "noarp"}, {"-6", "neigh", "show", "nud", "noarp"}, {"route", "show", "proto", "118"}} {
			if left := n.ip(args...); strings.Contains(left, "169.254.255.") || strings.Contains(left, "fe80::7664:") {
				t.Errorf("left behind on %s: %s", n.name, left)
			}
		}
	}
}

// A path that becomes narrow after the move still carries a stream of the old
// owner: the router's ICMP errors reach it by way of the new one.
func TestPathMTULoweredAfterTheMove(t *testing.T) {
	for _, vip := range vips {
		t.Run(vip.String(), func(t *testing.T) {
			c := newCluster(t, "a", "b")
			remote := c.behindRouter()
			home := c.client
			c.client = remote
			client, server := c.rawConnection(vip, "a")
			c.client = home
			c.move("b")
			c.router.ip("link", "set", "far0", "mtu", "1300")
			sent := bytes.Repeat([]byte("0123456789"), 100000)
			go func() {
				_, _ = server.Write(sent)
				_ = server.CloseWrite()
			}()
			if err := client.SetReadDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(client)
			if err != nil || !bytes.Equal(got, sent) {
				t.Errorf("%d of %d bytes came through: %v", len(got), len(sent), err)
			}
			if n := c.nodes["b"].counters(vip).Errors; n == 0 {
				t.Error("no ICMP error was passed on: nothing is tested")
			}
		})
	}
}

// behindRouter makes a router with strict reverse path filtering, and a client on
// its far side.
func (c *cluster) behindRouter() host {
	c.t.Helper()
	c.router = c.segment.host("router")
	far := newHost(c.t, "far")
	c.router.ip("link", "add", "far0", "type", "veth", "peer", "name", "eth0", "netns", far.name)
	for _, family := range []string{"ipv4/conf/all/forwarding", "ipv6/conf/all/forwarding", "ipv4/conf/all/rp_filter"} {
		c.router.sysctl("net/"+family, "1")
	}
	c.router.ip("addr", "add", "198.51.100.1/24", "dev", "far0")
	c.router.ip("addr", "add", "2001:db8:1::1/64", "dev", "far0", "nodad")
	c.router.ip("link", "set", "far0", "up")
	far.ip("addr", "add", "198.51.100.2/24", "dev", "eth0")
	far.ip("addr", "add", "2001:db8:1::2/64", "dev", "eth0", "nodad")
	far.ip("link", "set", "eth0", "up")
	far.ip("route", "add", "default", "via", "198.51.100.1")
	far.ip("route", "add", "default", "via", "2001:db8:1::1")
	for _, n := range c.nodes {
		n.ip("route", "add", "198.51.100.0/24", "via", c.router.addr4.String())
		n.ip("route", "add", "2001:db8:1::/64", "via", c.router.addr6.String())
	}
	return far
}

// mac is the host's on the segment.
func (h host) mac() string { return fmt.Sprintf("02:00:00:00:00:%02x", h.addr4.As4()[3]) }
