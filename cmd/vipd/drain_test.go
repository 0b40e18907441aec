package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/control/controltest"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestDrainForEyes(t *testing.T) {
	tests := []struct {
		name      string
		successor string
		args      []string
		want      exit
	}{
		{"drain-done", "192.0.2.12", nil, exitDone},
		{"drain-done-one", "192.0.2.12", []string{"--vip", "apiserver"}, exitDone},
		{"drain-reset", "192.0.2.12", []string{"--wait-connections"}, exitReset},
		{"drain-no-successor", "", nil, exitNoSuccessor},
		{"drain-no-successor-one", "", []string{"--vip", "apiserver", "--timeout", "5s"}, exitNoSuccessor},
		{"drain-forced", "", []string{"--force"}, exitDone},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newRun(t)
			a := controltest.New(owner())
			a.SetSuccessor(test.successor)
			a.SetClinging()
			args := append([]string{"drain", "--socket", controltest.Serve(t, a)}, test.args...)
			if code := r.command(t.Context(), args...); code != test.want {
				t.Errorf("exit code %d, want %d", code, test.want)
			}
			golden(t, test.name, "--- stderr\n"+r.err.String()+"--- stdout\n"+r.out.String())
		})
	}
}

func TestDrainAsJSONEndsWithItsResult(t *testing.T) {
	r := newRun(t)
	a := controltest.New(owner())
	a.SetSuccessor("192.0.2.12")
	if code := r.command(t.Context(), "drain", "--json", "--socket", controltest.Serve(t, a)); code != exitDone {
		t.Fatalf("exit code %d: %s", code, &r.err)
	}
	var got []agent.DrainProgress
	for line := range strings.Lines(r.out.String()) {
		var p agent.DrainProgress
		if err := json.Unmarshal([]byte(line), &p); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		got = append(got, p)
	}
	want := []agent.DrainProgress{
		{Time: noon(), Message: "waiting for a healthy successor"},
		{Time: noon(), VIP: "apiserver", Message: "given up", Owner: "192.0.2.12"},
		{Message: "done", Result: agent.DrainDone},
	}
	if n := len(got); n > 0 {
		// The server's own line: when it was written.
		got[n-1].Time = time.Time{}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	if r.err.Len() > 0 {
		t.Errorf("stderr: %s", &r.err)
	}
}

func TestDrainThatIsNotNotedDownFails(t *testing.T) {
	r := newRun(t)
	a := controltest.New(owner())
	a.SetSuccessor("192.0.2.12")
	a.SetBadMark(errors.New("done, but a restarted vipd will not know of it: the disk is full"))
	if code := r.command(t.Context(), "drain", "--socket", controltest.Serve(t, a)); code != exitFailed {
		t.Errorf("exit code %d, want %d", code, exitFailed)
	}
	if !strings.Contains(r.err.String(), "a restarted vipd will not know of it") {
		t.Errorf("stderr: %s", &r.err)
	}
}

func TestInterruptedDrainSaysThatItWasUndone(t *testing.T) {
	r := newRun(t)
	a := controltest.New(owner())
	a.SetPatient()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	go func() {
		<-a.Waiting()
		interrupt()
	}()
	if code := r.command(ctx, "drain", "--socket", controltest.Serve(t, a)); code != exitFailed {
		t.Errorf("exit code %d, want %d", code, exitFailed)
	}
	if !strings.Contains(r.err.String(), "was undone") {
		t.Errorf("stderr: %s", &r.err)
	}
}

// TestDrainReportTellsWhatIsTrue: a report of a drain that left nobody serving
// must say so.
func TestDrainReportTellsWhatIsTrue(t *testing.T) {
	s := owner()
	s.VIPs = append(s.VIPs, agent.VIPStatus{Name: "web", State: agent.StateOwner})
	s.VIPs[0].State, s.VIPs[0].Owner, s.VIPs[0].Reason, s.VIPs[0].Detail = agent.StateDrained, "", "forced", "no successor was heard"
	tests := []struct {
		name   string
		result agent.DrainResult
		want   string
	}{
		{"forced, nobody serves", agent.DrainDone, "apiserver is served by NOBODY that this node hears; here it is drained (forced: no successor was heard)."},
		{"another VIP is still here", agent.DrainDone, "cp1 still answers for web"},
		{"cancelled by the daemon", agent.DrainCancelled, "what had not moved was undone"},
		{"a result of a newer daemon", agent.DrainResult("postponed"), "Not drained: postponed."},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := drainReport(s, agent.DrainRequest{}, test.result); !strings.Contains(got, test.want) {
				t.Errorf("%q is not in:\n%s", test.want, got)
			}
		})
	}
}
