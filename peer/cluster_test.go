package peer

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// allAlive fails unless each running node sees all others alive and hearing.
func allAlive(t *testing.T, l *lan) {
	t.Helper()
	for _, n := range l.nodes {
		for _, other := range l.nodes {
			if n == other || !n.up || !other.up {
				continue
			}
			if s := n.sees(other); s.Condition != Alive || !s.Hears || s.Boot != other.self().Boot {
				t.Errorf("%s sees %s as %v, hearing: %v, in its present life: %v",
					n.name, other.name, s.Condition, s.Hears, s.Boot == other.self().Boot)
			}
		}
	}
}

// keyModes runs a test without and with a key.
func keyModes(t *testing.T, f func(t *testing.T, l *lan, keys func() *Keyring)) {
	t.Run("without a key", func(t *testing.T) { f(t, newLAN(t, 7), unkeyed) })
	t.Run("with a key", func(t *testing.T) {
		l := newLAN(t, 7)
		f(t, l, l.keyed(keyOne))
	})
}

func TestNodesMeetAtOnce(t *testing.T) {
	keyModes(t, func(t *testing.T, l *lan, keys func() *Keyring) {
		for i := range byte(5) {
			l.join(i+1, keys)
		}
		l.run(900 * ms)
		allAlive(t, l)
	})
}

func TestNodesMeetOnABadLink(t *testing.T) {
	keyModes(t, func(t *testing.T, l *lan, keys func() *Keyring) {
		l.drop, l.double, l.delay = 40, 20, 300*ms
		for i := range byte(5) {
			l.join(i+1, keys)
		}
		l.run(20 * time.Second)
		l.drop = 0
		l.run(2 * time.Second)
		allAlive(t, l)
	})
}

// told is what the node was told since it was asked last, but for who waits.
func (n *node) told() []Change {
	told := slices.DeleteFunc(n.last, func(c Change) bool { return c == Change(Waiting{}) })
	n.last = nil
	return told
}

func wantTold(t *testing.T, n *node, want ...Change) {
	t.Helper()
	if diff := cmp.Diff(want, n.told(), equateEmpty); diff != "" {
		t.Errorf("%s was told, -want +got:\n%s", n.name, diff)
	}
}

func TestRestartedNodeIsKnownAgainAtOnce(t *testing.T) {
	keyModes(t, func(t *testing.T, l *lan, keys func() *Keyring) {
		a, b := l.join(1, keys), l.join(2, keys)
		l.run(time.Minute)
		a.told()
		b.start()
		l.run(500 * ms)
		allAlive(t, l)
		wantTold(t, a, Joined{ID: IDOf("cp2"), Restarted: true}, Said{ID: IDOf("cp2"), VIPs: b.says.VIPs})
	})
}

func TestNewsArriveAtOnce(t *testing.T) {
	keyModes(t, func(t *testing.T, l *lan, keys func() *Keyring) {
		a, b := l.join(1, keys), l.join(2, keys)
		l.run(10*time.Second + 300*ms)
		a.told()
		b.change(func(s *Statement) { s.Role = Claiming })
		l.run(10 * ms)
		wantTold(t, a, Said{ID: IDOf("cp2"), VIPs: b.says.VIPs})
		seen := a.sees(b)
		if got := seen.Member(addrs("192.0.2.10")).Role; got != Claiming {
			t.Errorf("role %v", got)
		}
	})
}

// A lost hello with news is made good long before the next beat.
func TestNewsSurviveALoss(t *testing.T) {
	keyModes(t, func(t *testing.T, l *lan, keys func() *Keyring) {
		a, b := l.join(1, keys), l.join(2, keys)
		l.run(10*time.Second + 300*ms)
		a.told()
		l.drop = 100
		b.change(func(s *Statement) { s.Role = Claiming })
		l.run(10 * ms)
		wantTold(t, a)
		l.drop = 0
		l.run(repeatAfter)
		wantTold(t, a, Said{ID: IDOf("cp2"), VIPs: b.says.VIPs})
	})
}

func TestDeadNodeFallsSilentAndIsForgotten(t *testing.T) {
	keyModes(t, func(t *testing.T, l *lan, keys func() *Keyring) {
		a, b := l.join(1, keys), l.join(2, keys)
		l.run(10 * time.Second)
		a.told()
		b.up = false
		heard := a.sees(b).Heard
		l.run(heard.Add(Lifetime).Sub(l.now) - 1)
		wantTold(t, a)
		l.run(1)
		wantTold(t, a, Silenced{ID: IDOf("cp2")})
		if got := a.sees(b); got.Condition != Silent || len(got.Members) != 1 {
			t.Errorf("%v with %d groups; what it said last is worth showing", got.Condition, len(got.Members))
		}
		l.run(heard.Add(Retention).Sub(l.now) - 1)
		wantTold(t, a)
		l.run(1)
		wantTold(t, a, Forgotten{ID: IDOf("cp2"), Name: "cp2"})

		b.start()
		l.run(time.Second)
		wantTold(t, a, Joined{ID: IDOf("cp2")}, Said{ID: IDOf("cp2"), VIPs: b.says.VIPs})
	})
}

// One-way loss: b does not hear a. Without a key a sees b alive and deaf; with
// one nothing proves that b's hellos are not old, so they count for nothing but
// the diagnosis.
func TestDeafNode(t *testing.T) {
	keyModes(t, func(t *testing.T, l *lan, keys func() *Keyring) {
		a, b := l.join(1, keys), l.join(2, keys)
		l.run(10 * time.Second)
		b.deaf = true
		l.run(20 * time.Second)
		got := a.sees(b)
		want := Alive
		if keys() != nil {
			want = Silent
		}
		if got.Condition != want || got.Hears || !within(l.now, got.Overheard, Lifetime) {
			t.Errorf("%v, hears: %v, overheard: %v", got.Condition, got.Hears, within(l.now, got.Overheard, Lifetime))
		}
		b.deaf = false
		l.run(3 * time.Second)
		allAlive(t, l)
	})
}

// A frozen daemon finds a queue of old hellos when it wakes. With a key they are
// too old to count; a second later all is well.
func TestFrozenNodeWakes(t *testing.T) {
	keyModes(t, func(t *testing.T, l *lan, keys func() *Keyring) {
		a, b := l.join(1, keys), l.join(2, keys)
		l.run(10 * time.Second)
		from := len(l.captured)
		a.up = false
		l.run(time.Minute)
		a.up = true
		for _, c := range l.captured[from:] {
			a.hear(c)
		}
		if keys() != nil && within(l.now, a.sees(b).Heard, Lifetime) {
			t.Error("a hello of the time of the freeze counts as a sign of life")
		}
		l.run(2 * time.Second)
		allAlive(t, l)
	})
}

// The three steps of docs/peers.md, with each node doing them in its own time.
func TestChangeOfKey(t *testing.T) {
	l := newLAN(t, 8)
	var nodes []*node
	for i := range byte(3) {
		nodes = append(nodes, l.join(i+1, l.keyed(keyOne)))
	}
	l.run(5 * time.Second)
	for _, n := range nodes {
		n.told()
	}
	for _, step := range [][]string{{keyOne, keyTwo}, {keyTwo, keyOne}, {keyTwo}} {
		for _, n := range nodes {
			l.run(4 * time.Second)
			n.keys = l.keyed(step...)
			n.act(n.table.Rekey(l.now, n.keys()))
			n.sender.Rekey(n.keys())
		}
	}
	l.run(5 * time.Second)
	allAlive(t, l)
	for _, n := range nodes {
		wantTold(t, n)
	}
}

// Setting the first key parts nodes until all have it; then they meet again.
func TestFirstKey(t *testing.T) {
	l := newLAN(t, 9)
	a, b := l.join(1, unkeyed), l.join(2, unkeyed)
	l.run(5 * time.Second)
	rekey := func(n *node, keys func() *Keyring) {
		n.keys = keys
		n.act(n.table.Rekey(l.now, keys()))
		n.sender.Rekey(keys())
	}
	a.told()
	rekey(a, l.keyed(keyOne))
	wantTold(t, a, Forgotten{ID: IDOf("cp2"), Name: "cp2"})
	l.run(5 * time.Second)
	if got := a.sees(b); got.Condition == Alive {
		t.Error("a node without the key counts as alive")
	}
	if got := b.sees(a); got.Condition != Alive || !got.Tagged || got.Authenticated {
		t.Errorf("the node without a key sees %v, tagged: %v, authenticated: %v", got.Condition, got.Tagged, got.Authenticated)
	}
	rekey(b, l.keyed(keyOne))
	l.run(2 * time.Second)
	allAlive(t, l)
	if got := b.sees(a); !got.Authenticated || !got.Tagged {
		t.Error("both have the key and are not authenticated")
	}
	rekey(a, unkeyed)
	rekey(b, unkeyed)
	l.run(2 * time.Second)
	allAlive(t, l)
	if got := b.sees(a); got.Authenticated || got.Tagged {
		t.Error("authenticated without a key")
	}
}

func TestTwoNodesOfOneName(t *testing.T) {
	keyModes(t, func(t *testing.T, l *lan, keys func() *Keyring) {
		a, b := l.join(1, keys), l.join(2, keys)
		l.run(5 * time.Second)
		a.told()
		twin := l.join(3, keys)
		twin.name, twin.lives = b.name, 100
		twin.start()
		l.run(20 * time.Second)
		got := a.told()
		doubled := slices.DeleteFunc(got, func(c Change) bool { _, ok := c.(Doubled); return !ok })
		if len(doubled) != 1 || !a.sees(b).Namesake {
			t.Errorf("told %v, shown: %v", doubled, a.sees(b).Namesake)
		}
		for _, n := range []*node{b, twin} {
			if !n.table.Namesake(l.now) {
				t.Errorf("the one at %v does not know that its name is taken", n.addr)
			}
		}
		twin.up = false
		l.run(Lifetime + 2*time.Second)
		if a.sees(b).Namesake || b.table.Namesake(l.now) {
			t.Error("the namesake is gone and still shown")
		}
		if got := a.sees(b); got.Condition != Alive || got.Boot != b.self().Boot {
			t.Errorf("the one that is left is seen as %v", got.Condition)
		}
	})
}
