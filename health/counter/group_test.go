package counter

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// happening is something that happens to a group at its second.
type happening func(g *Group, now time.Time)

func result(check string, r Result) happening {
	return func(g *Group, now time.Time) { g.Step(now, check, r) }
}

func tick(g *Group, now time.Time) { g.Tick(now) }

func revise(delay time.Duration, rules ...Rule) happening {
	return func(g *Group, now time.Time) { g.Revise(now, delay, rules) }
}

func TestGroup(t *testing.T) {
	a, b := Rule{Name: "a", Rise: 1, Fall: 1}, Rule{Name: "b", Rise: 1, Fall: 1}
	refused := Result{Ready: Refused, Live: Refused, Reason: "refused"}
	for _, row := range []struct {
		name  string
		delay time.Duration
		rules []Rule
		// happens one second apart, the first at second 1.
		happens  []happening
		want     GroupVerdict
		deadline time.Time
	}{
		{"no checks: healthy", 0, nil, nil,
			GroupVerdict{Healthy: true, Since: at(0)}, time.Time{}},
		{"no result: unhealthy", 0, []Rule{a}, nil,
			GroupVerdict{Since: at(0), Check: "a", Reason: "no result yet"}, time.Time{}},
		{"no result: the delay of a fall does not make it healthy", 9 * time.Second, []Rule{a}, []happening{tick},
			GroupVerdict{Since: at(0), Check: "a", Reason: "no result yet"}, time.Time{}},
		{"one of two has a result: still unhealthy", 0, []Rule{a, b}, []happening{result("a", ready(OK))},
			GroupVerdict{Since: at(0), Liveness: Alive, Check: "b", Reason: "no result yet"}, time.Time{}},
		{"all good: healthy", 0, []Rule{a, b}, []happening{result("a", ready(OK)), result("b", ready(OK))},
			GroupVerdict{Healthy: true, Since: at(2), Liveness: Alive}, time.Time{}},
		{"two bad: the first one's reason", 0, []Rule{a, b}, []happening{result("b", ready(Timeout)), result("a", ready(NotReady))},
			GroupVerdict{Since: at(0), Liveness: Alive, Check: "a", Reason: "not-ready"}, time.Time{}},
		{"one bad: unhealthy at once without a delay", 0, []Rule{a, b}, []happening{result("a", ready(OK)), result("b", ready(OK)), result("b", ready(Timeout))},
			GroupVerdict{Since: at(3), Liveness: Alive, Check: "b", Reason: "timeout"}, time.Time{}},
		{"bad for less than the delay: healthy, the fall is due", 5 * time.Second, []Rule{a}, []happening{result("a", ready(OK)), result("a", ready(Timeout)), tick, tick, tick, tick},
			GroupVerdict{Healthy: true, Since: at(1), Liveness: Alive, Check: "a", Reason: "timeout"}, at(7)},
		{"bad for the delay: unhealthy", 5 * time.Second, []Rule{a}, []happening{result("a", ready(OK)), result("a", ready(Timeout)), tick, tick, tick, tick, tick},
			GroupVerdict{Since: at(7), Liveness: Alive, Check: "a", Reason: "timeout"}, time.Time{}},
		{"good again within the delay: nothing happened", 5 * time.Second, []Rule{a}, []happening{result("a", ready(OK)), result("a", ready(Timeout)), result("a", ready(OK))},
			GroupVerdict{Healthy: true, Since: at(1), Liveness: Alive}, time.Time{}},
		{"bad, good, bad: the delay starts again", 5 * time.Second, []Rule{a}, []happening{result("a", ready(OK)), result("a", ready(Timeout)), result("a", ready(OK)), result("a", ready(Timeout))},
			GroupVerdict{Healthy: true, Since: at(1), Liveness: Alive, Check: "a", Reason: "timeout"}, at(9)},
		{"another check takes over from a bad one: the delay runs on", 5 * time.Second, []Rule{a, b},
			[]happening{result("a", ready(OK)), result("b", ready(OK)), result("a", ready(Timeout)), result("b", ready(Timeout)), result("a", ready(OK))},
			GroupVerdict{Healthy: true, Since: at(2), Liveness: Alive, Check: "b", Reason: "timeout"}, at(8)},
		{"a dead process is not delayed", 5 * time.Second, []Rule{a}, []happening{result("a", ready(OK)), result("a", refused)},
			GroupVerdict{Since: at(2), Liveness: Dead, Check: "a", Reason: "refused"}, time.Time{}},
		{"hung, then dead within the delay: not delayed any more", 5 * time.Second, []Rule{a},
			[]happening{result("a", ready(OK)), result("a", Result{Ready: Timeout, Live: Timeout}), result("a", refused)},
			GroupVerdict{Since: at(3), Liveness: Dead, Check: "a", Reason: "refused"}, time.Time{}},
		{"liveness is the gravest of the checks", 0, []Rule{a, b}, []happening{result("a", live(Timeout)), result("b", live(OK))},
			GroupVerdict{Healthy: true, Since: at(2), Liveness: Hung}, time.Time{}},
		{"a healthy check's reason is told", 0, []Rule{a}, []happening{result("a", Result{Ready: Unauthorised, Live: Unauthorised, Reason: "not authorised"})},
			GroupVerdict{Healthy: true, Since: at(1), Liveness: Alive, Reason: "not authorised"}, time.Time{}},
		{"a result of an unknown check is ignored", 0, []Rule{a}, []happening{result("a", ready(OK)), result("gone", refused)},
			GroupVerdict{Healthy: true, Since: at(1), Liveness: Alive}, time.Time{}},

		{"reload keeps verdict and counts", 0, []Rule{{Name: "a", Rise: 1, Fall: 2}},
			[]happening{result("a", ready(OK)), result("a", ready(Timeout)), revise(0, Rule{Name: "a", Rise: 1, Fall: 3}), result("a", ready(Timeout))},
			GroupVerdict{Healthy: true, Since: at(1), Liveness: Alive, Reason: "timeout"}, time.Time{}},
		{"reload adds a check: it has no say before its first result", 0, []Rule{a}, []happening{result("a", ready(OK)), revise(0, a, b)},
			GroupVerdict{Healthy: true, Since: at(1), Liveness: Alive}, time.Time{}},
		{"reload adds a check: its first result counts", 0, []Rule{a}, []happening{result("a", ready(OK)), revise(0, a, b), result("b", refused)},
			GroupVerdict{Since: at(3), Liveness: Dead, Check: "b", Reason: "refused"}, time.Time{}},
		{"reload before the first verdict: the new check is waited for", 0, []Rule{a}, []happening{revise(0, a, b), result("a", ready(OK))},
			GroupVerdict{Since: at(0), Liveness: Alive, Check: "b", Reason: "no result yet"}, time.Time{}},
		{"reload removes the bad check: healthy", 0, []Rule{a, b}, []happening{result("a", ready(OK)), result("b", refused), revise(0, a)},
			GroupVerdict{Healthy: true, Since: at(3), Liveness: Alive}, time.Time{}},
		{"reload shortens the delay that runs", 9 * time.Second, []Rule{a}, []happening{result("a", ready(OK)), result("a", ready(Timeout)), tick, revise(2*time.Second, a)},
			GroupVerdict{Since: at(4), Liveness: Alive, Check: "a", Reason: "timeout"}, time.Time{}},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := NewGroup(at(0), row.delay, row.rules)
			for i, happens := range row.happens {
				happens(g, at(i+1))
			}
			if diff := cmp.Diff(row.want, g.Verdict()); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(row.deadline, g.Deadline()); diff != "" {
				t.Errorf("deadline: %s", diff)
			}
		})
	}
}

func TestGroupTellsTheVerdictOfOneCheck(t *testing.T) {
	g := NewGroup(at(0), 0, []Rule{{Name: "a"}})
	g.Step(at(1), "a", ready(OK))
	got, ok := g.Check("a")
	want := Verdict{Judged: true, Healthy: true, Since: at(1), Liveness: Alive, LivenessSince: at(1)}
	if diff := cmp.Diff(want, got); diff != "" || !ok {
		t.Errorf("found %v: %s", ok, diff)
	}
	if _, ok := g.Check("b"); ok {
		t.Error("a check that is not in the group was found")
	}
}
