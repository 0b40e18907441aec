package counter

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// epoch is an arbitrary start; result n of a row comes n seconds later.
var epoch = time.Unix(1_000_000, 0)

func at(seconds int) time.Time { return epoch.Add(time.Duration(seconds) * time.Second) }

func ready(o Outcome) Result {
	r := Result{Ready: o, Live: OK}
	if o != OK {
		r.Reason = o.String()
	}
	return r
}

func live(o Outcome) Result { return Result{Ready: OK, Live: o} }

func TestReadiness(t *testing.T) {
	plain := Rule{Name: "apiserver", Rise: 1, Fall: 2}
	slow := Rule{Name: "apiserver", Rise: 3, Fall: 3}
	for _, row := range []struct {
		name    string
		rule    Rule
		results []Result
		want    Verdict
	}{
		{"no result: unhealthy and unknown", plain, nil,
			Verdict{Reason: "no result yet"}},
		{"first result good: healthy at once, whatever rise", slow, []Result{ready(OK)},
			Verdict{Judged: true, Healthy: true, Since: at(0), Liveness: Alive, LivenessSince: at(0)}},
		{"first result bad: judged unhealthy", slow, []Result{ready(Timeout)},
			Verdict{Judged: true, Since: at(0), Liveness: Alive, LivenessSince: at(0), Reason: "timeout"}},
		{"one time-out of two: still healthy, with the reason", plain, []Result{ready(OK), ready(Timeout)},
			Verdict{Judged: true, Healthy: true, Since: at(0), Liveness: Alive, LivenessSince: at(0), Reason: "timeout"}},
		{"two time-outs of two: unhealthy", plain, []Result{ready(OK), ready(Timeout), ready(Timeout)},
			Verdict{Judged: true, Since: at(2), Liveness: Alive, LivenessSince: at(0), Reason: "timeout"}},
		{"time-out and 5xx count together", plain, []Result{ready(OK), ready(ServerError), ready(Timeout)},
			Verdict{Judged: true, Since: at(2), Liveness: Alive, LivenessSince: at(0), Reason: "timeout"}},
		{"a good result between failures starts the count again", plain, []Result{ready(OK), ready(Timeout), ready(OK), ready(Timeout)},
			Verdict{Judged: true, Healthy: true, Since: at(0), Liveness: Alive, LivenessSince: at(0), Reason: "timeout"}},
		{"refused once: unhealthy at once, whatever fall", slow, []Result{ready(OK), {Ready: Refused, Live: Refused, Reason: "refused"}},
			Verdict{Judged: true, Since: at(1), Liveness: Dead, LivenessSince: at(1), Reason: "refused"}},
		{"an untrusted certificate counts", plain, []Result{ready(OK), ready(Untrusted)},
			Verdict{Judged: true, Healthy: true, Since: at(0), Liveness: Alive, LivenessSince: at(0), Reason: "untrusted"}},
		{"passes below rise: still unhealthy, counted in the reason", slow, []Result{ready(Refused), ready(OK), ready(OK)},
			Verdict{Judged: true, Since: at(0), Liveness: Alive, LivenessSince: at(0), Reason: "ready again, but only 2 of rise: 3 times in a row"}},
		{"rise passes in a row: healthy", slow, []Result{ready(Refused), ready(OK), ready(OK), ready(OK)},
			Verdict{Judged: true, Healthy: true, Since: at(3), Liveness: Alive, LivenessSince: at(0)}},
		{"a failure among the passes starts the count again", slow, []Result{ready(Refused), ready(OK), ready(OK), ready(NotReady), ready(OK), ready(OK)},
			Verdict{Judged: true, Since: at(0), Liveness: Alive, LivenessSince: at(0), Reason: "ready again, but only 2 of rise: 3 times in a row"}},
		{"not authorised but alive: healthy, with the reason", plain, []Result{{Ready: Unauthorised, Live: Unauthorised, Reason: "not authorised"}},
			Verdict{Judged: true, Healthy: true, Since: at(0), Liveness: Alive, LivenessSince: at(0), Reason: "not authorised"}},
		{"not authorised and no liveness question: the answer itself shows life", plain, []Result{{Ready: Unauthorised, Live: Unasked, Reason: "not authorised"}},
			Verdict{Judged: true, Healthy: true, Since: at(0), LivenessSince: at(0), Reason: "not authorised"}},
		{"not authorised and liveness fails: liveness decides", plain, []Result{{Ready: Unauthorised, Live: ServerError, Reason: "livez answers 500"}},
			Verdict{Judged: true, Since: at(0), LivenessSince: at(0), Reason: "livez answers 500"}},
		{"rise and fall below 1 mean 1", Rule{}, []Result{ready(OK), ready(Timeout), ready(OK)},
			Verdict{Judged: true, Healthy: true, Since: at(2), Liveness: Alive, LivenessSince: at(0)}},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := NewCheck(row.rule)
			for i, r := range row.results {
				c.Step(at(i), r)
			}
			if diff := cmp.Diff(row.want, c.Verdict()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLiveness(t *testing.T) {
	for _, row := range []struct {
		name      string
		outcomes  []Outcome
		want      Liveness
		wantSince int
	}{
		{"an answer below 500 shows life", []Outcome{NotReady}, Alive, 0},
		{"not authorised is an answer", []Outcome{Unauthorised}, Alive, 0},
		{"refused: dead at once", []Outcome{OK, Refused}, Dead, 1},
		{"time-outs below fall: as before", []Outcome{OK, Timeout}, Alive, 0},
		{"first result a time-out: not hung yet", []Outcome{Timeout}, Unknown, 0},
		{"fall time-outs: hung", []Outcome{OK, Timeout, Timeout}, Hung, 2},
		{"fall 5xx answers: hung", []Outcome{OK, ServerError, ServerError}, Hung, 2},
		{"hung and then answering: alive at once", []Outcome{Timeout, Timeout, OK}, Alive, 2},
		{"dead stays dead while time-outs are counted", []Outcome{Refused, Timeout}, Dead, 0},
		{"a result that shows nothing breaks the count", []Outcome{OK, Timeout, Unreachable, Timeout}, Unknown, 2},
		{"a graceful stop is dead, never hung", []Outcome{OK, Refused, Refused, Refused}, Dead, 1},
		{"a TLS failure shows nothing", []Outcome{OK, Untrusted}, Unknown, 1},
		{"a check that cannot run shows nothing", []Outcome{Refused, Unconfigured}, Unknown, 1},
		{"no question, no evidence", []Outcome{Unasked}, Unknown, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := NewCheck(Rule{Rise: 1, Fall: 2})
			for i, o := range row.outcomes {
				c.Step(at(i), live(o))
			}
			want := Verdict{Judged: true, Healthy: true, Since: at(0), Liveness: row.want, LivenessSince: at(row.wantSince)}
			if diff := cmp.Diff(want, c.Verdict()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The words are metric labels: changing one breaks dashboards.
func TestWords(t *testing.T) {
	var got []string
	for o := Unasked; o <= Unconfigured; o++ {
		got = append(got, o.String())
	}
	for l := Unknown; l <= Dead; l++ {
		got = append(got, l.String())
	}
	want := []string{
		"unasked", "ok", "unauthorised", "not-ready", "server-error", "timeout", "refused", "unreachable", "untrusted", "unconfigured",
		"unknown", "alive", "hung", "dead",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
