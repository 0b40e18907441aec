package flow

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A process that ends and starts again on any node of a handover breaks nothing:
// what it left in the kernel works on, and is adopted.
func TestRestartBreaksNothing(t *testing.T) {
	c := newCluster(t, "a", "b")
	tr := c.load(25, vips...)
	tr.flows()
	c.move("b")
	for _, n := range c.order {
		n.flow.Close()
		tr.flows()
		n.flow = n.host.flow()
		c.apply(n)
		tr.flows()
	}
	c.move("a")
	tr.flows()
	tr.stop()
}

// Rules of another version are replaced, and what is left of them does not
// matter.
func TestRulesOfAnotherVersionAreReplaced(t *testing.T) {
	rows := []struct{ name, rules string }{
		{"fewer chains and other sets", "table ip vipd { set seen { type ipv4_addr; }; chain owner { ip saddr @seen drop; }; chain old { jump owner; }; }"},
		{"an empty table", "table ip vipd"},
	}
	for _, row := range rows {
		for _, own := range []bool{true, false} {
			c := newCluster(t, "a")
			a := c.nodes["a"]
			want := a.listed("ip")
			if err := a.flow.Remove(t.Context()); err != nil {
				t.Fatal(err)
			}
			a.flow.tables.own = own
			a.nft(row.rules)
			c.apply(a)
			if got := a.listed("ip"); got != want {
				t.Errorf("%s, own %v:\n%s\nwant\n%s", row.name, own, got, want)
			}
		}
	}
}

// After Remove nothing is left, whatever an earlier life left.
func TestRemove(t *testing.T) {
	c := newCluster(t, "a", "b")
	c.byMAC = true
	a := c.nodes["a"]
	memory := filepath.Join(t.TempDir(), "settings.json")
	a.flow.Close()
	a.flow = a.flowRemembering(memory)
	c.move("b")
	c.move("a")
	if a.readSysctl("net/ipv4/conf/eth0/accept_local") != "1" {
		t.Error("no setting is changed, so nothing is tested")
	}
	a.flow.Close()
	f := a.flowRemembering(memory)
	for range 2 {
		if err := f.Remove(t.Context()); err != nil {
			t.Fatal(err)
		}
		if left := a.run("nft", "list", "ruleset"); strings.TrimSpace(left) != "" {
			t.Errorf("rules are left: %s", left)
		}
		if left := a.quietness() + a.readSysctl("net/ipv4/conf/eth0/accept_local"); left != "000" {
			t.Errorf("settings are left: %s", left)
		}
	}
}

// What a killed process leaves is a table that does nothing.
func TestTheDeadLeaveAnEmptyTable(t *testing.T) {
	c := newCluster(t, "a", "b")
	c.move("b")
	b := c.nodes["b"]
	g := c.state(b)
	g[0].Lifetime = time.Second
	if err := b.flow.Apply(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	b.flow.Close()
	await(t, "the entries to expire", func() bool {
		return !strings.Contains(b.run("nft", "list", "table", "ip", tableName), vip4.String())
	})
	b.run("nft", "delete", "table", "ip", tableName)
}
