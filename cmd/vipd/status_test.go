package main

import (
	"context"
	"encoding/json"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/control"
	"github.com/vipd/vipd/control/controltest"
	"github.com/vipd/vipd/election"
)

func TestStatusForEyes(t *testing.T) {
	stale := owner()
	stale.Time = noon().Add(-30 * time.Second)
	tests := []struct {
		name   string
		status agent.Status
	}{
		{"status-owner", owner()},
		{"status-troubled", troubled()},
		{"status-stale", stale},
		{"status-cluster", clustered()},
		{"status-alone", alone()},
		{"status-lease", leased()},
		{"status-routed", routed()},
		{"status-sample", sample()},
		{"status-sample-routed", sampleRouted()},
		{"status-empty", agent.Status{Node: "cp1", Version: "v0.1.0", Time: noon(), PID: 1, Config: "/etc/vipd/vipd.yaml"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newRun(t)
			socket := controltest.Serve(t, controltest.New(test.status))
			if code := r.command(t.Context(), "status", "--socket", socket); code != exitDone {
				t.Fatalf("exit code %d: %s", code, &r.err)
			}
			golden(t, test.name, r.out.String())
			for line := range strings.Lines(r.out.String()) {
				if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 80 {
					t.Errorf("%d columns, more than 80: %s", n, line)
				}
			}
		})
	}
}

func TestStatusInColour(t *testing.T) {
	p := page{width: 80, style: style{colour: true}, now: noon()}
	s := troubled()
	p.node(s)
	for i := range s.VIPs {
		p.vip(&s.VIPs[i])
	}
	golden(t, "status-colour", p.text.String())
}

func TestStatusAsJSONIsTheDocument(t *testing.T) {
	r := newRun(t)
	socket := controltest.Serve(t, controltest.New(troubled()))
	if code := r.command(t.Context(), "status", "--json", "--socket", socket); code != exitDone {
		t.Fatalf("exit code %d: %s", code, &r.err)
	}
	var got agent.Status
	if err := json.Unmarshal(r.out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	same := []cmp.Option{
		cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
		cmpopts.IgnoreFields(agent.VIPStatus{}, "Counters"), cmpopts.IgnoreFields(agent.CheckStatus{}, "Counters"),
	}
	if diff := cmp.Diff(troubled(), got, same...); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}

func TestHistoryForEyes(t *testing.T) {
	r := newRun(t)
	a := controltest.New(owner())
	socket := controltest.Serve(t, a)
	if code := r.command(t.Context(), "history", "--socket", socket); code != exitDone {
		t.Fatalf("exit code %d: %s", code, &r.err)
	}
	if want := "Nothing has changed since the daemon started.\n"; r.out.String() != want {
		t.Errorf("empty history: %q, want %q", &r.out, want)
	}
	a.SetHistory(past()...)
	r.out.Reset()
	if code := r.command(t.Context(), "history", "--socket", socket); code != exitDone {
		t.Fatalf("exit code %d: %s", code, &r.err)
	}
	golden(t, "history", r.out.String())
}

func TestHistoryAsJSONIsAList(t *testing.T) {
	r := newRun(t)
	a := controltest.New(owner())
	a.SetHistory(past()...)
	if code := r.command(t.Context(), "history", "--json", "--socket", controltest.Serve(t, a)); code != exitDone {
		t.Fatalf("exit code %d: %s", code, &r.err)
	}
	var got []agent.Entry
	if err := json.Unmarshal(r.out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(past(), got); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
}

// changed is what the watch tests make happen.
func changed() agent.Entry {
	return agent.Entry{
		Time: noon().Add(time.Second), VIP: "apiserver", From: agent.StateOwner, To: agent.StateBackup,
		Reason: election.DuelLost, Owner: "192.0.2.12", DurationSeconds: 11521,
	}
}

func TestWatchPrintsChanges(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want []string
	}{
		{"for people, a line each", []string{"status", "--watch"}, []string{
			"2026-01-02 08:48:00.000  apiserver  owner  owner-silent: no advert for 330ms; this node owns it",
			"2026-01-02 12:00:01.000  apiserver  owner -> backup  duel-lost; owner 192.0.2.12",
		}},
		{"for programs, an object a line", []string{"status", "--watch", "--json"}, []string{
			`{"time":"2026-01-02T08:48:00Z","vip":"apiserver","from":"owner","to":"owner","reason":"owner-silent","detail":"no advert for 330ms","owner":"192.0.2.11","duration_seconds":0}`,
			`{"time":"2026-01-02T12:00:01Z","vip":"apiserver","from":"owner","to":"backup","reason":"duel-lost","detail":"","owner":"192.0.2.12","duration_seconds":11521}`,
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newRun(t)
			a := controltest.New(owner())
			socket := controltest.Serve(t, a)
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			written := make(chan string)
			r.stdout = writes(written)
			ended := make(chan exit, 1)
			go func() { ended <- r.command(ctx, append(test.args, "--socket", socket)...) }()
			var got []string
			got = append(got, strings.TrimSuffix(<-written, "\n"))
			a.Change(changed())
			got = append(got, strings.TrimSuffix(<-written, "\n"))
			stop()
			if code := <-ended; code != exitDone {
				t.Errorf("interrupted: exit code %d: %s", code, &r.err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}
}

// writes hands each write to a channel.
type writes chan string

func (w writes) Write(b []byte) (int, error) {
	w <- string(b)
	return len(b), nil
}

func TestWatchRedrawsTheScreen(t *testing.T) {
	r := newRun(t)
	a := controltest.New(owner())
	client := control.NewClient(controltest.Serve(t, a))
	defer client.Close()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	screen := make(chan string)
	r.stdout = writes(screen)
	ended := make(chan error, 1)
	go func() { ended <- r.watchScreen(ctx, client) }()
	if first := <-screen; !strings.HasPrefix(first, clearScreen+"cp1, ") || !strings.Contains(first, "OWNER") {
		t.Errorf("first picture:\n%s", first)
	}
	a.Change(changed())
	for !strings.Contains(<-screen, "BACKUP") {
	}
	stop()
	drainScreen(screen, ended, t)
}

func TestWatchWaitsForADaemonThatGoesAway(t *testing.T) {
	r := newRun(t)
	gone, stopDaemon := context.WithCancel(t.Context())
	defer stopDaemon()
	path := controltest.Socket(t)
	l, err := control.Listen(t.Context(), path, "", discard())
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- control.NewServer(controltest.New(owner()), "", discard()).Serve(gone, l) }()
	client := control.NewClient(path)
	defer client.Close()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	screen := make(chan string)
	r.stdout = writes(screen)
	ended := make(chan error, 1)
	go func() { ended <- r.watchScreen(ctx, client) }()
	<-screen
	stopDaemon()
	for !strings.Contains(<-screen, "Waiting for it") {
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	stop()
	drainScreen(screen, ended, t)
}

// drainScreen takes pictures until the watch has ended well.
func drainScreen(screen <-chan string, ended <-chan error, t *testing.T) {
	t.Helper()
	for {
		select {
		case <-screen:
		case err := <-ended:
			if err != nil {
				t.Errorf("watch ended with %v, want nil", err)
			}
			return
		}
	}
}

func TestSpansForPeople(t *testing.T) {
	tests := map[time.Duration]string{
		-time.Second:                     "0s",
		900 * time.Millisecond:           "0s",
		59 * time.Second:                 "59s",
		3*time.Minute + 12*time.Second:   "3m12s",
		47*time.Hour + 59*time.Minute:    "47h59m",
		12*24*time.Hour + 3*time.Hour:    "12d3h",
		365*24*time.Hour + 3*time.Minute: "365d0h",
	}
	for d, want := range tests {
		if got := span(d); got != want {
			t.Errorf("span(%v) = %s, want %s", d, got, want)
		}
	}
}

func TestAFailingWriterFailsTheCommand(t *testing.T) {
	r := newRun(t)
	r.stdout = full{}
	socket := controltest.Serve(t, controltest.New(owner()))
	for _, args := range [][]string{{"status"}, {"status", "--json"}, {"history"}, {"undrain"}, {"reload"}} {
		if code := r.command(t.Context(), append(args, "--socket", socket)...); code != exitFailed {
			t.Errorf("%v: exit code %d, want %d", args, code, exitFailed)
		}
	}
}

// full is a disk without space.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestZoneName(t *testing.T) {
	for _, row := range []struct {
		name string
		zone *time.Location
		want string
	}{
		{"UTC", time.UTC, "UTC"},
		{"a zone with a name", time.FixedZone("CET", 3600), "CET, UTC+01:00"},
		{"a zone that is half an hour off, west", time.FixedZone("NST", -int((3*time.Hour+30*time.Minute)/time.Second)), "NST, UTC-03:30"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := zoneName(noon().In(row.zone)); got != row.want {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}
