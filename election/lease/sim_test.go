package lease

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/vipd/vipd/election"
	"github.com/vipd/vipd/election/vrrp"
)

// copyOf is what a backup of the store has.
type copyOf struct {
	leases map[ID]time.Time
	owner  Owner
	nodes  map[string]Candidate
	term   uint64
}

func (s *simStore) copy() copyOf {
	return copyOf{leases: maps.Clone(s.leases), owner: s.owner, nodes: maps.Clone(s.nodes), term: s.term}
}

// restore makes the store what it was. Its leases begin anew, as etcd has it.
func (s *simStore) restore(c copyOf) {
	s.epoch++
	s.revision /= 2
	s.leases, s.owner, s.nodes, s.term = map[ID]time.Time{}, c.owner, maps.Clone(c.nodes), max(1, c.term)
	for id := range c.leases {
		s.leases[id] = s.world.now.Add(s.ttls[id])
	}
	s.world.say("store: restored; %s owns by %d", s.owner.Node, s.owner.Lease)
}

// trouble makes one thing worse, or better again.
func (w *world) trouble(backup copyOf) {
	n := w.nodes[w.rand.IntN(len(w.nodes))]
	switch w.rand.IntN(12) {
	case 0, 1:
		n.cut = !n.cut
		w.say("%s is cut from the store: %v", n.name, n.cut)
	case 2:
		w.freeze(n)
	case 3:
		n.slow = !n.slow
		w.say("%s is slow: %v", n.name, n.slow)
	case 4:
		n.healthy = !n.healthy
		n.hear(vrrp.Health{Healthy: n.healthy})
	case 5, 6:
		n.duty = vrrp.Duty(w.rand.IntN(3))
		n.hear(vrrp.SetDuty{Duty: n.duty, Reason: election.Drain})
	case 7:
		w.cable(n)
	case 8:
		w.end(n)
	case 9:
		n.wires = !n.wires
		w.say("%s hears and is heard on the segment: %v", n.name, !n.wires)
	case 10:
		w.store.down = !w.store.down
		w.say("the store is down: %v", w.store.down)
	case 11:
		switch w.rand.IntN(4) {
		case 0:
			w.store.restore(backup)
		case 1:
			w.deleteByHand()
		}
	}
}

// deleteByHand deletes the owner key while all who follow it can see that.
func (w *world) deleteByHand() {
	for _, n := range w.nodes {
		if n.cut || n.slow || n.frozen || n.machine.Band() == election.Resigned || w.store.down {
			return
		}
	}
	w.say("the owner key is deleted by hand")
	w.store.owner = Owner{}
	w.store.revision++
	w.run(50*time.Millisecond, nil)
}

func (w *world) freeze(n *simNode) {
	switch {
	case !n.up:
	case n.frozen:
		w.say("%s goes on", n.name)
		n.thaw()
	default:
		w.say("%s is frozen", n.name)
		n.frozen = true
	}
}

func (w *world) cable(n *simNode) {
	n.hear(vrrp.LinkDown{Reason: election.NoCarrier})
	w.after(w.upTo(2*time.Second), n, n.life, func() { n.step(vrrp.LinkUp{Own: n.addr}) })
}

// end ends a daemon, of its own will or not, and starts it again later.
func (w *world) end(n *simNode) {
	switch {
	case !n.up:
		n.start()
	case n.frozen, n.stopping, w.chance(50):
		n.kill()
	default:
		n.stop()
	}
}

// hear tells a daemon something, when it runs.
func (n *simNode) hear(ev vrrp.Event) {
	n.say("%s hears %T%+v", n.name, ev, ev)
	if n.up {
		n.after(0, n, n.life, func() { n.step(ev) })
	}
}

// heal ends all trouble.
func (w *world) heal() {
	w.say("all is well from now on")
	w.healed, w.store.down = true, false
	for _, n := range w.nodes {
		n.cut, n.slow, n.wires, n.healthy, n.duty = false, false, false, true, vrrp.Serve
		if n.frozen {
			n.thaw()
		}
		if n.stopping {
			n.kill()
		}
		if !n.up {
			n.start()
		}
		n.hear(vrrp.LinkUp{Own: n.addr})
		n.hear(vrrp.Health{Healthy: true})
		n.hear(vrrp.SetDuty{Duty: vrrp.Serve, Reason: election.Undrain})
	}
}

// served: one node answers, and is the owner by the store.
func (w *world) served() bool {
	for _, n := range w.nodes {
		if n.up && n.answers() && n.machine.Owns() && n.machine.mine() && n.machine.Band() == election.Healthy {
			return true
		}
	}
	return false
}

// Whatever is cut, frozen, slow, killed, ill, drained or restored, and whatever
// becomes of messages: never two answer for the VIP, and when all is well again
// one does, and goes on.
func TestNeverTwoAnswer(t *testing.T) {
	for seed := range uint64(400) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, seed, 2+int(seed%3), true)
			w.suffer()
			w.recover()
		})
	}
}

// Before there is a store VRRP elects. On a segment that carries adverts its owner
// takes the lease, whoever reaches the store first, and there is no moment with two.
func TestNeverTwoAnswerAtTheChangeOver(t *testing.T) {
	for seed := range uint64(150) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, seed, 2+int(seed%3), false)
			w.store.down = true
			w.run(3*time.Second+w.upTo(5*time.Second), nil)
			owner := w.answering()
			for _, n := range w.nodes {
				n.cut = w.chance(50)
			}
			w.store.down = false
			for range 10 {
				w.run(w.upTo(2*time.Second), nil)
				w.nodes[w.rand.IntN(len(w.nodes))].cut = false
			}
			if now := w.answering(); len(owner) != 1 || len(now) > 0 && now[0] != owner[0] {
				w.fail("%v owned by VRRP, and %v by its lease", owner, now)
			}
			w.recover()
			for _, n := range w.nodes {
				if n.machine.Bootstraps() {
					w.fail("%s bootstraps yet", n.name)
				}
			}
			w.healed = false
			w.suffer()
			w.recover()
		})
	}
}

// suffer is a time of trouble.
func (w *world) suffer() {
	backup := w.store.copy()
	for range 40 {
		w.run(w.upTo(2500*time.Millisecond), nil)
		if w.chance(10) {
			backup = w.store.copy()
		}
		w.trouble(backup)
	}
}

// recover ends all trouble, and wants an owner that stays.
func (w *world) recover() {
	w.t.Helper()
	w.heal()
	w.run(simPatience, nil)
	owner := w.store.owner.Node
	for range 100 {
		if !w.served() {
			w.fail("nobody serves, %v after all trouble was over", simPatience)
		}
		w.run(100*time.Millisecond, nil)
	}
	if now := w.store.owner.Node; now != owner {
		w.fail("%s did not stay owner: %s is", owner, now)
	}
}
