package agent

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Ready returns nil while a balancer in front of the API servers should send
// clients to this node's: it is healthy for every VIP, and this node is neither
// drained, nor on its way there, nor stopping. Who owns a VIP does not matter.
// The error says why not.
func (a *Agent) Ready(ctx context.Context) error {
	var why error
	if err := a.ask(ctx, func() { why = a.unready() }); err != nil {
		return fmt.Errorf("the event loop does not answer: %w", err)
	}
	return why
}

// unready is why this node should get no traffic; nil: it should.
func (a *Agent) unready() error {
	if a.shutdown != nil {
		return ErrStopping
	}
	for _, g := range a.groups {
		health := g.fitness.checks.Verdict()
		switch {
		case a.marked(g):
			return fmt.Errorf("%s is drained from this node", g.cfg.Name)
		case slices.ContainsFunc(a.drains, func(op *drain) bool { return op.concerns(g) }):
			return fmt.Errorf("%s is being drained from this node", g.cfg.Name)
		case !health.Healthy:
			return fmt.Errorf("%s is unhealthy on this node: check %s: %s", g.cfg.Name, health.Check, health.Reason)
		}
	}
	return nil
}

// marked tells whether the group was drained.
func (a *Agent) marked(g *group) bool {
	_, drained := a.drained[g.cfg.Name]
	return drained
}

// balancersSee is when balancers will have seen that this node, which begins to
// leave, is not ready; zero: nobody looks, or they have seen it.
func (a *Agent) balancersSee(now time.Time) time.Time {
	if a.config.Readiness.Listen == "" || slices.ContainsFunc(a.groups, a.marked) {
		return time.Time{}
	}
	return now.Add(a.config.Readiness.DrainWait)
}

// settled tells whether nothing of the drain is left to do for any group.
func (op *drain) settled() bool {
	return !slices.ContainsFunc(op.groups, func(g *drainedGroup) bool { return !g.finished })
}

// awaitsBalancers tells whether all that a drain waits for is that balancers see
// it.
func (op *drain) awaitsBalancers(now time.Time) bool {
	if !op.settled() || !now.Before(op.seenAt) {
		return false
	}
	if !op.waiting {
		op.waiting = true
		op.tell(DrainProgress{Time: now, Message: fmt.Sprintf("waiting %v for balancers to see that this node is not ready", op.seenAt.Sub(now).Round(time.Millisecond))})
	}
	return true
}
