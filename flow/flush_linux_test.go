package flow

import (
	"context"
	"sync/atomic"
	"testing"
)

// What firewalls do when they are loaded happens to both nodes of a handover.
func TestFlushOfAllRulesBreaksNothing(t *testing.T) {
	c := newCluster(t, "a", "b")
	tr := c.load(25, vips...)
	tr.flows()
	c.move("b")
	for _, n := range c.order {
		for range 5 {
			n.run("nft", "flush", "ruleset")
		}
		tr.flows()
	}
	tr.stop()
	for _, n := range c.order {
		if whole, err := n.flow.whole(n.flow.tables.look); !whole {
			t.Errorf("%s: the rules are gone, %v", n.name, err)
		}
	}
}

// Kernels without tables that have an owner lose the rules. Watch tells at once,
// and Apply puts them back.
func TestWatchTellsOfLostRules(t *testing.T) {
	rows := []struct{ name, rules string }{
		{"everything flushed", "flush ruleset"},
		{"the table deleted", "delete table ip vipd"},
		{"the table of one family emptied", "flush table ip6 vipd"},
		{"a chain emptied", "flush chain ip vipd owner"},
	}
	c := newCluster(t, "a", "b")
	c.move("b")
	b := c.nodes["b"]
	if err := b.flow.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.flow.tables.own = false
	c.apply(b)
	told := make(chan struct{}, 1000)
	b.watch(func() { told <- struct{}{} })
	for _, row := range rows {
		b.nft(row.rules)
		<-told
		if whole, err := b.flow.whole(b.flow.tables.look); whole || err != nil {
			t.Errorf("%s: the rules are whole, %v", row.name, err)
		}
		c.apply(b)
		if whole, err := b.flow.whole(b.flow.tables.look); !whole {
			t.Errorf("%s: the rules are not back, %v", row.name, err)
		}
	}
}

// Changes of others, and our own, are not told.
func TestWatchKeepsQuiet(t *testing.T) {
	c := newCluster(t, "a", "b")
	b := c.nodes["b"]
	c.move("b")
	var flushed, early atomic.Bool
	told := make(chan struct{}, 1000)
	b.watch(func() {
		if !flushed.Load() {
			early.Store(true)
		}
		told <- struct{}{}
	})
	b.nft("table ip vipd2 { chain a { counter; }; }\n delete table ip vipd2")
	c.apply(b)
	if err := b.flow.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.flow.tables.own = false
	c.apply(b)
	c.apply(b)
	flushed.Store(true)
	b.nft("flush ruleset")
	<-told
	if early.Load() {
		t.Error("told although the rules were whole")
	}
}

// watch runs Watch on a node until the test ends.
func (n *node) watch(fn func()) {
	n.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	listening, ended := make(chan struct{}), make(chan error, 1)
	go n.do(func() {
		w, err := n.flow.openWatch()
		close(listening)
		if err == nil {
			err = w.run(ctx, fn)
		}
		ended <- err
	})
	<-listening
	n.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			n.t.Errorf("watch: %v", err)
		}
	})
}
