package agent

import (
	"testing"
	"time"

	"github.com/vipd/vipd/election/vrrp"
	"github.com/vipd/vipd/health/counter"
)

// What was on its way when a group ended changes nothing any more.
func TestLateNewsOfAGroupThatIsGone(t *testing.T) {
	rows := []struct {
		name string
		news func(*group) Event
	}{
		{"it is held", func(g *group) Event {
			return applied{group: g, order: order{hold: true, placed: at("eth0", 20), announce: true, attempt: 1}, created: true}
		}},
		{"it could not be held", func(g *group) Event {
			return applied{group: g, order: order{hold: true, placed: at("eth0", 20), attempt: 1}, err: errLate}
		}},
		{"it is released", func(g *group) Event { return applied{group: g, order: order{placed: at("eth0", 20)}} }},
		{"nobody answers for it", func(g *group) Event { return probed{group: g, attempt: 1} }},
		{"it is healthy", func(g *group) Event {
			return checked{group: g, epoch: g.fitness.epoch, result: ProbeResult{Check: "apiserver", Result: counter.Result{Ready: counter.OK}}}
		}},
		{"it has other peers", func(g *group) Event {
			return peersRead{group: g, path: g.cfg.VRRP.PeersFile, content: []byte("192.0.2.12")}
		}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			a, _ := turned(t, 2)
			g := a.groups[0]
			a.removeGroup(a.started, g)
			for _, _, ok := a.applier.take(); ok; _, _, ok = a.applier.take() {
				continue
			}
			entries := len(a.history)
			a.handle(a.started, row.news(g))
			a.turn(a.started)
			if _, o, ok := a.applier.take(); ok {
				t.Errorf("ordered %+v", o)
			}
			if g.link != nil || a.links["eth0"].groups[0][g.cfg.VRRP.VRID] != nil {
				t.Error("the group is on its interface again")
			}
			if g.machine.State() != vrrp.Backup || len(a.history) != entries {
				t.Errorf("state %v, history %v", g.machine.State(), a.history[entries:])
			}
		})
	}
}

// Nothing that is due stays due: the loop would spin.
func TestLoopComesToRest(t *testing.T) {
	a, w := turned(t, 3)
	a.own(a.started)
	now := a.started
	for range 1000 {
		at := a.deadline()
		if at.IsZero() {
			t.Fatal("an owner has nothing to do")
		}
		now = at
		w.left = 0
		a.turn(now)
		for g, o, ok := a.applier.take(); ok; g, o, ok = a.applier.take() {
			a.handle(now, applied{group: g, order: o})
			a.turn(now)
		}
		if next := a.deadline(); !next.After(now) {
			t.Fatalf("at %v the next deadline is %v", now.Sub(a.started), next.Sub(a.started))
		}
	}
	if now.Sub(a.started) < 10*time.Second {
		t.Errorf("a thousand turns in %v", now.Sub(a.started))
	}
}
