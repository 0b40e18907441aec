package control_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
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

var sameAddr = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

func noon() time.Time { return time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC) }

// oneVIP is a node that owns its only VIP.
func oneVIP() agent.Status {
	return agent.Status{
		Schema: agent.Schema, Node: "cp1", Version: "v0.1.0", Time: noon(), PID: 123, Config: "/etc/vipd/vipd.yaml",
		VIPs: []agent.VIPStatus{{
			Name: "apiserver", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.10")}, Interface: "eth0", Announce: "l2",
			State: agent.StateOwner, Reason: election.OwnerSilent, Detail: "no advert for 330ms",
			Since: noon().Add(-time.Hour), Owner: "192.0.2.11", Healthy: true,
			Health: []agent.CheckStatus{{Name: "apiserver", Type: "https", Healthy: true, Alive: true, Since: noon(), LatencySeconds: 0.003}},
			Election: agent.ElectionStatus{
				Type: "vrrp", VRID: 10, Priority: 200, OwnerPriority: 200, Band: "healthy", LastAdvertAgeSeconds: 0.05,
			},
		}},
	}
}

func client(t *testing.T, path string) *control.Client {
	t.Helper()
	c := control.NewClient(path)
	t.Cleanup(c.Close)
	return c
}

func TestStatusArrivesWhole(t *testing.T) {
	c := client(t, controltest.Serve(t, controltest.New(oneVIP())))
	got, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(oneVIP(), got, sameAddr, cmpopts.IgnoreFields(agent.VIPStatus{}, "Counters"), cmpopts.IgnoreFields(agent.CheckStatus{}, "Counters")); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}

func TestHistoryArrivesInOrder(t *testing.T) {
	a := controltest.New(oneVIP())
	c := client(t, controltest.Serve(t, a))
	entries, err := c.History(t.Context())
	if err != nil || len(entries) != 0 {
		t.Fatalf("before any change: %v, %v", entries, err)
	}
	want := []agent.Entry{
		{Time: noon(), VIP: "apiserver", From: agent.StateInit, To: agent.StateBackup, Reason: election.Startup},
		{Time: noon().Add(time.Second), VIP: "apiserver", From: agent.StateBackup, To: agent.StateOwner, Reason: election.OwnerSilent, Detail: "no advert for 330ms", Owner: "192.0.2.11", DurationSeconds: 1},
	}
	for _, e := range want {
		a.Change(e)
	}
	got, err := c.History(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
}

func TestWatchTellsThePresentThenEachChange(t *testing.T) {
	a := controltest.New(oneVIP())
	c := client(t, controltest.Serve(t, a))
	present := agent.Entry{
		Time: noon().Add(-time.Hour), VIP: "apiserver", From: agent.StateOwner, To: agent.StateOwner,
		Reason: election.OwnerSilent, Detail: "no advert for 330ms", Owner: "192.0.2.11",
	}
	change := agent.Entry{Time: noon(), VIP: "apiserver", From: agent.StateOwner, To: agent.StateBackup, Reason: election.DuelLost, Owner: "192.0.2.12"}
	enough := errors.New("enough")
	var got []agent.Entry
	err := c.Watch(t.Context(), func(e agent.Entry) error {
		got = append(got, e)
		if len(got) == 1 {
			a.Change(change)
			return nil
		}
		return enough
	})
	if !errors.Is(err, enough) {
		t.Errorf("watch ended with %v, want the caller's error", err)
	}
	if diff := cmp.Diff([]agent.Entry{present, change}, got); diff != "" {
		t.Errorf("watched (-want +got):\n%s", diff)
	}
}

func TestWatchEndsQuietlyWithItsContext(t *testing.T) {
	c := client(t, controltest.Serve(t, controltest.New(oneVIP())))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	err := c.Watch(ctx, func(agent.Entry) error {
		stop()
		return nil
	})
	if err != nil {
		t.Errorf("watch ended with %v, want nil", err)
	}
}

func TestWatchSaysThatTheDaemonWentAway(t *testing.T) {
	path := controltest.Socket(t)
	l, err := control.Listen(t.Context(), path, "", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	server := control.NewServer(controltest.New(oneVIP()), "", slog.New(slog.DiscardHandler))
	go func() { ended <- server.Serve(ctx, l) }()
	err = client(t, path).Watch(t.Context(), func(agent.Entry) error {
		stop()
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "watch: ") {
		t.Errorf("watch ended with %v, want an error", err)
	}
	if err := <-ended; err != nil {
		t.Errorf("serve ended with %v, want nil", err)
	}
}

func TestDrainStreamsItsProgress(t *testing.T) {
	tests := []struct {
		name      string
		request   agent.DrainRequest
		successor string
		want      agent.DrainResult
		messages  []string
	}{
		{"a successor serves: drained", agent.DrainRequest{}, "192.0.2.12", agent.DrainDone, []string{"waiting for a healthy successor", "given up", "done"}},
		{"one VIP by its name", agent.DrainRequest{VIP: "apiserver", Timeout: time.Minute}, "192.0.2.12", agent.DrainDone, []string{"waiting for a healthy successor", "given up", "done"}},
		{"no successor: nothing changed", agent.DrainRequest{}, "", agent.DrainNoSuccessor, []string{"waiting for a healthy successor", "no healthy successor was heard in time"}},
		{"forced without one: drained", agent.DrainRequest{Force: true}, "", agent.DrainDone, []string{"waiting for a healthy successor", "given up", "done"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := controltest.New(oneVIP())
			a.SetSuccessor(test.successor)
			c := client(t, controltest.Serve(t, a))
			var messages []string
			got, err := c.Drain(t.Context(), test.request, func(p agent.DrainProgress) { messages = append(messages, p.Message) })
			if err != nil || got != test.want {
				t.Errorf("drain = %q, %v; want %q", got, err, test.want)
			}
			if diff := cmp.Diff(test.messages, messages); diff != "" {
				t.Errorf("progress (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDrainThatIsDoneWithSomethingToAdd(t *testing.T) {
	a := controltest.New(oneVIP())
	a.SetSuccessor("192.0.2.12")
	a.SetBadMark(errors.New("done, but the disk is full"))
	c := client(t, controltest.Serve(t, a))
	var last agent.DrainProgress
	got, err := c.Drain(t.Context(), agent.DrainRequest{}, func(p agent.DrainProgress) { last = p })
	if got != agent.DrainDone || err == nil || !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("drain = %q, %v; want it done, with the error", got, err)
	}
	if last.Result != agent.DrainDone || last.Message != "done, but the disk is full" {
		t.Errorf("the last line is %+v, want the result and what is to add", last)
	}
}

func TestDrainIsUndoneWhenItsClientGoesAway(t *testing.T) {
	a := controltest.New(oneVIP())
	a.SetPatient()
	c := client(t, controltest.Serve(t, a))
	undone := make(chan struct{})
	watching, stop := context.WithCancel(t.Context())
	defer stop()
	go a.Watch(watching, func(e agent.Entry) error {
		if e.Detail == "cancelled drain undone" {
			close(undone)
		}
		return nil
	})
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	go func() {
		<-a.Waiting()
		leave()
	}()
	got, err := c.Drain(ctx, agent.DrainRequest{}, func(agent.DrainProgress) {})
	if got != agent.DrainCancelled || !errors.Is(err, context.Canceled) {
		t.Errorf("drain = %q, %v; want it cancelled", got, err)
	}
	<-undone
}

func TestErrorsKeepTheirKind(t *testing.T) {
	badFile := errors.New("/etc/vipd/vipd.yaml:3: vips[0].vrrp.priority: 300 is out of range")
	tests := []struct {
		name    string
		prepare func(*controltest.Agent)
		ask     func(context.Context, *control.Client) error
		kind    error
		text    string
	}{
		{"undrain of a VIP that does not exist is refused", nil,
			func(ctx context.Context, c *control.Client) error { return c.Undrain(ctx, "web") }, control.ErrRefused, "web"},
		{"drain of a VIP that does not exist is refused", nil,
			func(ctx context.Context, c *control.Client) error {
				_, err := c.Drain(ctx, agent.DrainRequest{VIP: "web"}, func(agent.DrainProgress) {})
				return err
			}, control.ErrRefused, "web"},
		{"reload of a bad file is refused, with its line", func(a *controltest.Agent) { a.SetBadConfiguration(badFile) },
			func(ctx context.Context, c *control.Client) error { return c.Reload(ctx) }, control.ErrRefused, badFile.Error()},
		{"reload while stopping", (*controltest.Agent).Stop,
			func(ctx context.Context, c *control.Client) error { return c.Reload(ctx) }, agent.ErrStopping, "stopping"},
		{"drain while stopping", (*controltest.Agent).Stop,
			func(ctx context.Context, c *control.Client) error {
				_, err := c.Drain(ctx, agent.DrainRequest{}, func(agent.DrainProgress) {})
				return err
			}, agent.ErrStopping, "stopping"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := controltest.New(oneVIP())
			if test.prepare != nil {
				test.prepare(a)
			}
			err := test.ask(t.Context(), client(t, controltest.Serve(t, a)))
			if !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.text) {
				t.Errorf("got %v, want %v with %q", err, test.kind, test.text)
			}
		})
	}
}

// TestUnknownClientsMayOnlyRead: over a socket of another kind the kernel does
// not tell who connects.
func TestUnknownClientsMayOnlyRead(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	controltest.ServeOn(t, control.NewServer(controltest.New(oneVIP()), "vipd-admin", log), l)
	for path, want := range map[string]int{"/v1/status": http.StatusOK, "/v1/drain": http.StatusForbidden} {
		method := http.MethodGet
		if want == http.StatusForbidden {
			method = http.MethodPost
		}
		r, err := http.NewRequestWithContext(t.Context(), method, "http://"+l.Addr().String()+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, answer.StatusCode, want)
		}
	}
}

func TestStrangersMayOnlyRead(t *testing.T) {
	path := controltest.Socket(t)
	log := slog.New(slog.DiscardHandler)
	l, err := control.Listen(t.Context(), path, "", log)
	if err != nil {
		t.Fatal(err)
	}
	s := control.NewServer(controltest.New(oneVIP()), "vipd-admin", log)
	s.SetIdentity(control.Peer{UID: 65533, GID: 65533})
	controltest.ServeOn(t, s, l)
	c := client(t, path)
	if _, err := c.Status(t.Context()); err != nil {
		t.Errorf("status: %v", err)
	}
	changes := map[string]error{
		"undrain": c.Undrain(t.Context(), ""),
		"reload":  c.Reload(t.Context()),
	}
	_, changes["drain"] = c.Drain(t.Context(), agent.DrainRequest{}, func(agent.DrainProgress) {})
	for what, err := range changes {
		if !errors.Is(err, control.ErrDenied) || !strings.Contains(err.Error(), "vipd-admin") {
			t.Errorf("%s: got %v, want it denied with the group's name", what, err)
		}
	}
}

// TestRequestsByHand is what curl and its kind see.
func TestRequestsByHand(t *testing.T) {
	path := controltest.Serve(t, controltest.New(oneVIP()))
	hand := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}}}
	defer hand.CloseIdleConnections()
	tests := []struct {
		name         string
		method, path string
		body         string
		status       int
		text         string
	}{
		{"a path that does not exist", "GET", "/v1/nothing", "", 404, "no such path: /v1/nothing"},
		{"a read with POST", "POST", "/v1/status", "", 405, "/v1/status wants GET, not POST"},
		{"a change with GET", "GET", "/v1/drain", "", 405, "/v1/drain wants POST, not GET"},
		{"a key that does not exist", "POST", "/v1/drain", `{"vips":"apiserver"}`, 400, `unknown field \"vips\"`},
		{"no JSON", "POST", "/v1/drain", `vip=apiserver`, 400, "invalid character"},
		{"more than one object", "POST", "/v1/undrain", `{} {}`, 400, "there is more"},
		{"a timeout without unit", "POST", "/v1/drain", `{"timeout":30}`, 400, `write one such as \"30s\"`},
		{"a negative timeout", "POST", "/v1/drain", `{"timeout":"-3s"}`, 400, "not a duration"},
		{"reload takes nothing", "POST", "/v1/reload", `{"file":"/tmp/x"}`, 400, `unknown field`},
		{"too much", "POST", "/v1/drain", `{"vip":"` + strings.Repeat("x", 70<<10) + `"}`, 413, "larger than 64 KiB"},
		{"a VIP that does not exist", "POST", "/v1/drain", `{"vip":"web"}`, 404, "web"},
		{"a timeout as in the configuration", "POST", "/v1/drain", `{"vip":"apiserver","timeout":"5s"}`, 200, `"result":"no-successor"`},
		{"no body", "POST", "/v1/undrain", ``, 204, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), test.method, "http://vipd"+test.path, strings.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			answer, err := hand.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			body, err := io.ReadAll(answer.Body)
			if err != nil {
				t.Fatal(err)
			}
			if answer.StatusCode != test.status || !strings.Contains(string(body), test.text) {
				t.Errorf("%d %s; want %d with %q", answer.StatusCode, body, test.status, test.text)
			}
			if answer.StatusCode >= 400 {
				var told struct{ Error string }
				if err := json.Unmarshal(body, &told); err != nil || told.Error == "" {
					t.Errorf("%s is not {\"error\": ...}", body)
				}
			}
			for line := range bytes.Lines(body) {
				if !json.Valid(line) {
					t.Errorf("line %s is no JSON", line)
				}
			}
		})
	}
}
