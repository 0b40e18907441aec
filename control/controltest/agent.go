// Package controltest has a daemon in memory, for tests of what talks to one.
package controltest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/election"
)

// Agent is a node's daemon without a network: its VIPs change state only by
// what is asked of it, and by [Agent.Change]. The zero value has no VIP. It is
// safe from any goroutine.
type Agent struct {
	mu       sync.Mutex
	status   agent.Status
	history  []agent.Entry
	watchers []chan agent.Entry
	// successor is the healthy node that takes what is drained; empty: none.
	successor string
	// patient drains wait for a successor until their context ends.
	patient bool
	waiting chan struct{}
	// clinging connections have to be ended.
	clinging bool
	badFile  error
	badMark  error
	stopping bool
}

// New returns a daemon in the given state.
func New(status agent.Status) *Agent {
	return &Agent{status: status, waiting: make(chan struct{}, 16)}
}

// SetSuccessor names the healthy node that takes what is drained.
func (a *Agent) SetSuccessor(address string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.successor = address
}

// SetClinging makes connections outlive every wait for them.
func (a *Agent) SetClinging() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.clinging = true
}

// SetPatient makes drains without a successor wait until their context ends.
func (a *Agent) SetPatient() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.patient = true
}

// Waiting receives once for each drain that has begun to wait.
func (a *Agent) Waiting() <-chan struct{} { return a.waiting }

// SetBadConfiguration makes reloads fail.
func (a *Agent) SetBadConfiguration(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.badFile = err
}

// SetBadMark makes drains succeed and tell that they could not be noted down.
func (a *Agent) SetBadMark(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.badMark = err
}

// Stop makes every further change fail with [agent.ErrStopping].
func (a *Agent) Stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stopping = true
}

// SetHistory replaces the history.
func (a *Agent) SetHistory(entries ...agent.Entry) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.history = entries
}

// Change makes e happen and tells the watchers.
func (a *Agent) Change(e agent.Entry) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.change(e)
}

func (a *Agent) change(e agent.Entry) {
	a.history = append(a.history, e)
	a.status.VIPs = slices.Clone(a.status.VIPs)
	for i := range a.status.VIPs {
		if v := &a.status.VIPs[i]; v.Name == e.VIP {
			v.State, v.Reason, v.Detail, v.Owner, v.Since = e.To, e.Reason, e.Detail, e.Owner, e.Time
		}
	}
	for _, w := range a.watchers {
		w <- e
	}
}

// Status is the present state.
func (a *Agent) Status() agent.Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.status
}

// History is the changes so far.
func (a *Agent) History() []agent.Entry {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.history)
}

// Watch tells the present states, then each change.
func (a *Agent) Watch(ctx context.Context, fn func(agent.Entry) error) error {
	// More than any test changes.
	changes := make(chan agent.Entry, 1024)
	a.mu.Lock()
	for _, v := range a.status.VIPs {
		changes <- agent.Entry{Time: v.Since, VIP: v.Name, From: v.State, To: v.State, Reason: v.Reason, Detail: v.Detail, Owner: v.Owner}
	}
	a.watchers = append(a.watchers, changes)
	a.mu.Unlock()
	defer a.unwatch(changes)
	for {
		select {
		case e := <-changes:
			if err := fn(e); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (a *Agent) unwatch(changes chan agent.Entry) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.watchers = slices.DeleteFunc(a.watchers, func(c chan agent.Entry) bool { return c == changes })
}

// Watchers is how many watch now.
func (a *Agent) Watchers() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.watchers)
}

// Drain moves the VIPs to the successor, if there is one.
func (a *Agent) Drain(ctx context.Context, r agent.DrainRequest, fn func(agent.DrainProgress)) (agent.DrainResult, error) {
	a.mu.Lock()
	successor, patient, badMark := a.successor, a.patient, a.badMark
	now := a.status.Time
	err := a.refusal(r.VIP)
	a.mu.Unlock()
	if err != nil {
		return "", err
	}
	fn(agent.DrainProgress{Time: now, VIP: r.VIP, Message: "waiting for a healthy successor"})
	if successor == "" && !r.Force {
		return a.forlorn(ctx, patient, now)
	}
	for _, v := range a.Status().VIPs {
		if (r.VIP == "" || r.VIP == v.Name) && v.State != agent.StateDrained {
			a.Change(agent.Entry{
				Time: now, VIP: v.Name, From: v.State, To: agent.StateDrained,
				Reason: election.Drain, Owner: successor,
			})
			fn(agent.DrainProgress{Time: now, VIP: v.Name, Message: "given up", Owner: successor})
		}
	}
	a.setDrained(r.VIP == "")
	result := agent.DrainDone
	if r.WaitConnections && a.clings() {
		result = agent.DrainReset
	}
	return result, badMark
}

func (a *Agent) clings() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.clinging
}

// forlorn is a drain without a successor.
func (a *Agent) forlorn(ctx context.Context, patient bool, now time.Time) (agent.DrainResult, error) {
	if patient {
		a.waiting <- struct{}{}
		<-ctx.Done()
		a.Change(agent.Entry{Time: now, Reason: election.Undrain, Detail: "cancelled drain undone"})
		return agent.DrainCancelled, ctx.Err()
	}
	return agent.DrainNoSuccessor, nil
}

func (a *Agent) setDrained(node bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if node {
		a.status.Drained = true
		a.status.DrainedSince = a.status.Time.Format(time.RFC3339)
	}
}

// Undrain makes drained VIPs backups.
func (a *Agent) Undrain(_ context.Context, vip string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.refusal(vip); err != nil {
		return err
	}
	for _, v := range a.status.VIPs {
		if (vip == "" || vip == v.Name) && v.State == agent.StateDrained {
			a.change(agent.Entry{
				Time: a.status.Time, VIP: v.Name, From: v.State, To: agent.StateBackup,
				Reason: election.Undrain, Owner: v.Owner,
			})
		}
	}
	a.status.Drained, a.status.DrainedSince = false, ""
	return nil
}

// Reload does nothing but fail when it was told to.
func (a *Agent) Reload(context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return errors.Join(a.refusal(""), a.badFile)
}

func (a *Agent) refusal(vip string) error {
	if a.stopping {
		return agent.ErrStopping
	}
	if vip != "" && !slices.ContainsFunc(a.status.VIPs, func(v agent.VIPStatus) bool { return v.Name == vip }) {
		return &agent.UnknownVIPError{Name: vip}
	}
	return nil
}
