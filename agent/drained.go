package agent

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/vipd/vipd/election"
	"github.com/vipd/vipd/election/vrrp"
)

// Undrain lets this node own the VIP again; all VIPs if the name is empty. A
// drain that concerns one of them and still runs is cancelled.
func (a *Agent) Undrain(ctx context.Context, name string) error {
	var failed error
	err := a.ask(ctx, func() { failed = a.undrain(time.Now(), name) })
	if err == nil {
		err = failed
	}
	if err != nil {
		return err
	}
	return a.storeMark(ctx)
}

func (a *Agent) undrain(now time.Time, name string) error {
	if a.shutdown != nil {
		return ErrStopping
	}
	groups, err := a.named(name)
	if err != nil {
		return err
	}
	for _, g := range groups {
		for _, op := range a.drains {
			if op.concerns(g) {
				a.undo(now, op, DrainCancelled, "vipd undrain cancelled the drain")
			}
		}
		delete(a.drained, g.cfg.Name)
		g.undrain(now, "")
	}
	return nil
}

// storeMark writes what is drained where a restarted daemon finds it. It runs
// in the caller's goroutine: the loop does not wait for a disk.
func (a *Agent) storeMark(ctx context.Context) error {
	a.marking.Lock()
	defer a.marking.Unlock()
	var mark Drained
	if err := a.ask(ctx, func() { mark = maps.Clone(a.drained) }); err != nil {
		return err
	}
	if err := a.edges.Mark.Store(mark); err != nil {
		return fmt.Errorf("done, but a restarted vipd will not know of it: %w", err)
	}
	return nil
}

func (a *Agent) allDrained(now time.Time) Drained {
	all := Drained{}
	for _, v := range a.config.VIPs {
		all[v.Name] = now
	}
	return all
}

// keepOff makes a drained group stay off this node.
func (a *Agent) keepOff(now time.Time, g *group) {
	if _, ok := a.drained[g.cfg.Name]; !ok {
		a.drained[g.cfg.Name] = now
	}
	g.off = true
	if g.shown.state != StateDrained && g.why.reason == "" {
		g.why = cause{reason: election.Drain}
	}
}

// drainedSince tells whether no VIP may be taken by this node, and since when.
func (a *Agent) drainedSince() (since time.Time, drained bool) {
	for _, g := range a.groups {
		at, ok := a.drained[g.cfg.Name]
		if !ok {
			return time.Time{}, false
		}
		if at.After(since) {
			since = at
		}
	}
	return since, len(a.groups) > 0
}

// undrain returns the group to normal duty.
func (g *group) undrain(now time.Time, detail string) {
	g.off = false
	if g.shown.state == StateDrained {
		g.why = cause{reason: election.Undrain, detail: detail}
	}
	g.step(now, vrrp.SetDuty{Duty: vrrp.Serve, Reason: election.Undrain})
}
