package flow

import (
	"strings"
	"testing"
)

// stateful is a firewall that drops what it does not know, in and out; %ACCEPT%
// is the rule that handover needs.
const stateful = `table inet fw {
	chain in {
		type filter hook input priority 0; policy drop;
		ct state invalid counter drop
		ct state established,related accept
		iif lo accept
		tcp dport 6443 ct state new tcp flags syn / syn,rst,ack accept
		meta l4proto icmpv6 accept
	}
	chain out {
		type filter hook output priority 0; policy drop;
		ct state established,related accept
		oif lo accept
		meta l4proto icmpv6 accept
		%ACCEPT%
	}
}`

// Rules of others stand beside ours, and a move loses nothing.
func TestMovesBesideOtherRules(t *testing.T) {
	rows := []struct{ name, rules string }{
		{"a stateful firewall with the documented rule", strings.Replace(stateful, "%ACCEPT%", AcceptRule(testPort), 1)},
		{"rules that keep the port from conntrack, as Cilium's", `table inet raw {
			chain pre { type filter hook prerouting priority raw; tcp dport 6443 notrack; }
			chain out { type filter hook output priority raw; tcp sport 6443 notrack; }
		}`},
		{"service rules, as kube-proxy's", `table ip kube-proxy {
			map services { type ipv4_addr . inet_proto . inet_service : verdict; elements = { 10.96.0.1 . tcp . 443 : goto api }; }
			chain api { meta l4proto tcp dnat to 192.0.2.10:6443; }
			chain pre { type nat hook prerouting priority dstnat; ip daddr . meta l4proto . th dport vmap @services; }
			chain out { type nat hook output priority -100; ip daddr . meta l4proto . th dport vmap @services; }
			chain post { type nat hook postrouting priority srcnat; meta mark & 0x4000 != 0 masquerade; }
		}`},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			c := newCluster(t, "a", "b")
			before := map[*node]string{}
			for _, n := range c.nodes {
				n.nft(row.rules)
				before[n] = n.othersRules()
			}
			tr := c.load(25, vips...)
			tr.flows()
			for _, to := range []string{"b", "a"} {
				c.move(to)
				tr.flows()
			}
			for _, vip := range vips {
				b := c.nodes["b"].counters(vip)
				if b.Forwarded == 0 || b.Left != b.Forwarded {
					t.Errorf("b passed on %d packets to %s, and %d left", b.Forwarded, vip, b.Left)
				}
			}
			tr.stop()
			for n, rules := range before {
				if now := n.othersRules(); now != rules {
					t.Errorf("others' rules on %s were\n%s\nand are\n%s", n.name, rules, now)
				}
			}
		})
	}
}

// A firewall without the rule eats what is passed on; that is seen.
func TestBlockedByOwnFirewall(t *testing.T) {
	c := newCluster(t, "a", "b")
	b := c.nodes["b"]
	b.nft(strings.Replace(stateful, "%ACCEPT%", "", 1))
	for _, vip := range vips {
		conn := c.client.must(vip, c.port, "a")
		go func() { _ = echo(conn, "hello?") }()
	}
	c.move("b")
	for _, vip := range vips {
		before := Counters{}
		c.client.strays(vip, c.port, 10)
		await(t, "the block to be seen", func() bool { return b.counters(vip).BlockedSince(before) })
	}
}

// othersRules lists all tables but ours, without counters.
func (n *node) othersRules() string {
	var others []string
	for line := range strings.SplitSeq(n.run("nft", "-s", "list", "tables"), "\n") {
		if line == "" || strings.HasSuffix(line, " "+tableName) {
			continue
		}
		others = append(others, n.run("nft", append([]string{"-s", "list"}, strings.Fields(line)...)...))
	}
	return strings.Join(others, "\n")
}
