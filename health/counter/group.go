package counter

import (
	"time"
)

// Group joins the checks of one VIP group: it is healthy when all are, and its
// fall may be delayed. Make it with NewGroup.
type Group struct {
	delay   time.Duration
	checks  []*member
	healthy bool
	since   time.Time
	// badSince is when the first of the checks now bad made the group bad;
	// zero while all are good.
	badSince time.Time
}

// member is a check of a group. A newcomer joined a group that had its verdict
// already and has no say before its first result: a reload that adds a check
// must not drop a healthy group.
type member struct {
	*Check
	newcomer bool
}

func (m *member) abstains() bool { return m.newcomer && !m.verdict.Judged }

// GroupVerdict is what the checks of a group amount to.
type GroupVerdict struct {
	// Healthy decides the band. It is false until every check has a result.
	Healthy bool
	// Since is when Healthy took its value; the group's making at first.
	Since time.Time
	// Liveness is Dead or Hung if any check says so, else Alive if any says
	// so, else Unknown.
	Liveness Liveness
	// Check names the first check that is not healthy; empty if all are.
	Check string
	// Reason is that check's reason, else the first one a healthy check gives.
	Reason string
}

// NewGroup returns a group whose checks have no results: unhealthy. A group
// without checks is healthy. The group must have been bad for delay before it
// falls, unless a check that is not healthy finds its process dead.
func NewGroup(now time.Time, delay time.Duration, rules []Rule) *Group {
	g := &Group{since: now}
	g.revise(delay, rules, false)
	g.settle(now)
	return g
}

// Revise changes delay and rules, as a reload does. Checks are told apart by
// name: one that stays keeps its verdict and counts, one that is new has no
// say until its first result.
func (g *Group) Revise(now time.Time, delay time.Duration, rules []Rule) {
	g.revise(delay, rules, true)
	g.settle(now)
}

func (g *Group) revise(delay time.Duration, rules []Rule, newcomers bool) {
	// A group that never had a verdict lets nobody abstain.
	newcomers = newcomers && g.Judged()
	checks := make([]*member, 0, len(rules))
	for _, rule := range rules {
		m := g.member(rule.Name)
		if m == nil {
			m = &member{Check: NewCheck(rule), newcomer: newcomers}
		}
		m.Revise(rule)
		checks = append(checks, m)
	}
	g.delay, g.checks = delay, checks
}

// Judged tells whether every check has a result, but for newcomers.
func (g *Group) Judged() bool {
	for _, m := range g.checks {
		if !m.verdict.Judged && !m.newcomer {
			return false
		}
	}
	return true
}

func (g *Group) member(name string) *member {
	for _, m := range g.checks {
		if m.rule.Name == name {
			return m
		}
	}
	return nil
}

// Step counts a result of the named check. A name that the group does not
// have, such as that of a check just removed, is ignored.
func (g *Group) Step(now time.Time, check string, r Result) GroupVerdict {
	if m := g.member(check); m != nil {
		m.Step(now, r)
	}
	return g.Tick(now)
}

// Tick tells the group the time; it is due at Deadline, earlier ones are
// harmless.
func (g *Group) Tick(now time.Time) GroupVerdict {
	g.settle(now)
	return g.Verdict()
}

// Deadline is when a delayed fall is due; zero if none is pending.
func (g *Group) Deadline() time.Time {
	if !g.healthy || g.badSince.IsZero() {
		return time.Time{}
	}
	return g.badSince.Add(g.delay)
}

func (g *Group) settle(now time.Time) {
	bad := g.firstBad()
	if bad == nil {
		g.badSince = time.Time{}
		g.setHealthy(now, true)
		return
	}
	if g.badSince.IsZero() {
		g.badSince = now
	}
	if g.dead() || !now.Before(g.badSince.Add(g.delay)) {
		g.setHealthy(now, false)
	}
}

func (g *Group) setHealthy(now time.Time, healthy bool) {
	if g.healthy != healthy {
		g.healthy, g.since = healthy, now
	}
}

func (g *Group) firstBad() *member {
	for _, m := range g.checks {
		if !m.verdict.Healthy && !m.abstains() {
			return m
		}
	}
	return nil
}

// dead reports whether an unhealthy check finds its process dead; nothing is
// gained by waiting then.
func (g *Group) dead() bool {
	for _, m := range g.checks {
		if !m.verdict.Healthy && m.verdict.Liveness == Dead {
			return true
		}
	}
	return false
}

// Verdict is the verdict after the last Step, Tick or Revise.
func (g *Group) Verdict() GroupVerdict {
	v := GroupVerdict{Healthy: g.healthy, Since: g.since}
	for _, m := range g.checks {
		v.Liveness = graver(v.Liveness, m.verdict.Liveness)
		if v.Reason == "" && !m.abstains() {
			v.Reason = m.verdict.Reason
		}
	}
	if bad := g.firstBad(); bad != nil {
		v.Check, v.Reason = bad.rule.Name, bad.verdict.Reason
	}
	return v
}

// graver relies on the order of the constants: Unknown, Alive, Hung, Dead.
func graver(a, b Liveness) Liveness { return max(a, b) }

// Check is the verdict on the named check; false if the group has none of that
// name.
func (g *Group) Check(name string) (Verdict, bool) {
	m := g.member(name)
	if m == nil {
		return Verdict{}, false
	}
	return m.Verdict(), true
}
