package demo

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/measure"
	"github.com/vipd/vipd/internal/lab/scene"
)

func hosts() []*lab.Host {
	return []*lab.Host{
		{Name: "cp1", Addr4: netip.MustParseAddr("10.77.0.11")},
		{Name: "cp2", Addr4: netip.MustParseAddr("10.77.0.12")},
		{Name: "cp3", Addr4: netip.MustParseAddr("10.77.0.13")},
	}
}

func TestPage(t *testing.T) {
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	all := hosts()
	var out strings.Builder
	p := &page{w: &out}
	p.opening(opening{
		daemon: "vipd", vip: netip.MustParseAddrPort("10.77.0.100:6443"), hosts: all,
		client: &lab.Host{Name: "client", Addr4: netip.MustParseAddr("10.77.0.200")}, owner: all[1],
		began: begin, took: 812 * time.Millisecond,
		transitions: []event{{at: begin.Add(330 * time.Millisecond), who: "cp2", what: "backup → owner", reason: "first-claim", detail: "nobody answers"}},
	})
	p.heading(1, "cp2 is drained", "as before a reboot")
	p.timeline(begin, []event{{at: begin.Add(4300 * time.Microsecond), who: "cp1", what: "announces 10.77.0.100"}})
	p.client(measure.Report{
		Requests: 500, Failed: 3, Errors: map[string]int{measure.ErrReset: 1, measure.ErrTimeout: 2}, Outage: 12 * time.Millisecond,
		P50: 400 * time.Microsecond, P99: 21 * time.Millisecond, Streams: 6, Broken: 1,
	})
	p.verdict(verdict{"no new request fails", true})
	p.back("cp2 is undrained")
	p.client(measure.Report{Requests: 10, P50: time.Millisecond, P99: time.Millisecond, Streams: 6})
	p.verdict(verdict{"cp1 keeps the VIP", false})
	p.ending(measure.Report{Requests: 1500, Failed: 3, Nodes: map[string]int{"cp1": 400, "cp2": 1100}}, 21*time.Second)

	want := `
  10.77.0.100:6443  held by vipd

  client 10.77.0.200 ───┬─ cp1  10.77.0.11
                        ├─ cp2  10.77.0.12   ◀ owner
                        └─ cp3  10.77.0.13

  Set up in 812 ms. The client opens a new connection each 2 ms and watches 6 streams.
       +330 ms  cp2  backup → owner         first-claim      nobody answers

  1  cp2 is drained                    as before a reboot
       +4.3 ms  cp1  announces 10.77.0.100
        client  500 requests, 3 failed (timeout 2, reset 1), outage 12 ms; half within 0.4 ms, 99 % within 21 ms; 1 of 6 streams broke
     ✓ no new request fails
     cp2 is undrained
        client  10 requests, 0 failed; half within 1.0 ms, 99 % within 1.0 ms; 0 of 6 streams broke
     ✗ cp1 keeps the VIP

  All in all, in 21 s
        client  1500 requests, 3 failed; answers: cp2 1100, cp1 400
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestColourOnlyWhenAsked(t *testing.T) {
	for _, colour := range []bool{false, true} {
		var out strings.Builder
		p := &page{w: &out, colour: colour}
		p.verdict(verdict{"kept", true})
		if got := strings.Contains(out.String(), "\x1b["); got != colour {
			t.Errorf("colour %t: %q", colour, out.String())
		}
	}
}

func TestAftermaths(t *testing.T) {
	all := hosts()
	o := scene.Outcome{Owner: all[0], Successor: all[1]}
	tests := []struct {
		name  string
		after aftermath
		owner *lab.Host
		seen  measure.Report
		want  verdict
	}{
		{"a returning host moves nothing", stays, all[1], measure.Report{}, verdict{"cp2 keeps the VIP, no request fails and no open connection breaks", true}},
		{"a returning host takes the VIP back", stays, all[0], measure.Report{}, verdict{"cp2 keeps the VIP, no request fails and no open connection breaks", false}},
		{"a returning host costs a request", stays, all[1], measure.Report{Failed: 1}, verdict{"cp2 keeps the VIP, no request fails and no open connection breaks", false}},
		{"a returning host costs a connection", stays, all[1], measure.Report{Broken: 1}, verdict{"cp2 keeps the VIP, no request fails and no open connection breaks", false}},
		{"a duel may go either way", duelEnds, all[0], measure.Report{Outage: 9 * time.Millisecond},
			verdict{"one host owns the VIP, cp1, and new connections work within 500 ms (9.0 ms)", true}},
		{"a duel that leaves clients behind", duelEnds, all[1], measure.Report{Outage: 43 * time.Second},
			verdict{"one host owns the VIP, cp2, and new connections work within 500 ms (43000 ms)", false}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, tt.after(o, tt.owner, tt.seen), cmp.AllowUnexported(verdict{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestJudges(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	successor := hosts()[1]
	seen := func(outage time.Duration) measure.Report { return measure.Report{Outage: outage} }
	tests := []struct {
		name    string
		judge   judge
		outcome scene.Outcome
		want    verdict
	}{
		{
			"planned: nothing is lost", nothingLost,
			scene.Outcome{Successor: successor, Announced: at},
			verdict{"no request fails and no open connection breaks (0 and 0 did)", true},
		},
		{
			"planned: one failure, at whatever moment", nothingLost,
			scene.Outcome{Successor: successor, Announced: at, Seen: measure.Report{Failed: 1}},
			verdict{"no request fails and no open connection breaks (1 and 0 did)", false},
		},
		{
			"planned: one connection", nothingLost,
			scene.Outcome{Successor: successor, Announced: at, Seen: measure.Report{Broken: 1}},
			verdict{"no request fails and no open connection breaks (0 and 1 did)", false},
		},
		{
			"planned: without an announcement nothing is proven", nothingLost,
			scene.Outcome{Successor: successor},
			verdict{"no request fails and no open connection breaks (0 and 0 did)", false},
		},
		{
			"crash: below the bound", within(time.Second),
			scene.Outcome{Seen: seen(999 * time.Millisecond)},
			verdict{"new connections work again within 1000 ms (999 ms)", true},
		},
		{
			"crash: at the bound", within(time.Second),
			scene.Outcome{Seen: seen(time.Second)},
			verdict{"new connections work again within 1000 ms (1000 ms)", false},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.judge(context.Background(), nil, tt.outcome)
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(verdict{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
