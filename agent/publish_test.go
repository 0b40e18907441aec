package agent

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vipd/vipd/election"
	"github.com/vipd/vipd/health/counter"
)

func TestWatchTellsThePresentAndThenEachChange(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a, b := l.twins()
		var got []Entry
		stop := errors.New("enough")
		ended := make(chan error)
		go func() {
			ended <- b.process.agent.Watch(t.Context(), func(e Entry) error {
				got = append(got, e)
				if len(got) == 4 {
					return stop
				}
				return nil
			})
		}()
		synctest.Wait()
		a.drain(DrainRequest{}).result()
		if err := <-ended; !errors.Is(err, stop) {
			t.Errorf("error %v", err)
		}
		took := b.status("apiserver").Since
		want := []Entry{
			{VIP: "apiserver", From: StateBackup, To: StateBackup, Reason: election.Startup, Owner: "192.0.2.11"},
			{VIP: "ingress", From: StateBackup, To: StateBackup, Reason: election.Startup, Owner: "192.0.2.11"},
			{VIP: "apiserver", From: StateBackup, To: StateOwner, Reason: election.OwnerDraining, Owner: "192.0.2.12"},
			{VIP: "ingress", From: StateBackup, To: StateOwner, Reason: election.OwnerDraining, Owner: "192.0.2.12"},
		}
		sorted := cmpopts.SortSlices(func(x, y Entry) bool { return x.To+State(x.VIP) < y.To+State(y.VIP) })
		if diff := cmp.Diff(want, got, sorted, cmpopts.IgnoreFields(Entry{}, "Time", "Detail", "DurationSeconds")); diff != "" {
			t.Errorf("entries (-want +got):\n%s", diff)
		}
		history := b.process.agent.History()
		last := history[len(history)-1]
		if since := history[0].Time; last.VIP == "apiserver" && last.DurationSeconds != took.Sub(since).Seconds() {
			t.Errorf("duration %v, want %v", last.DurationSeconds, took.Sub(since).Seconds())
		}
		if n := len(b.process.agent.watchers); n != 0 {
			t.Errorf("%d watchers left", n)
		}
	})
}

func TestWatchEndsWithItsContext(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a := l.node(11, apiserver)
		if err := a.process.agent.Watch(ended(), func(Entry) error { return nil }); err == nil {
			t.Error("watched for a caller that is gone")
		}
	})
}

func TestSlowWatcherIsLeftBehind(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a := l.node(11, apiserver)
		a.awaitSeated()
		reading := make(chan struct{})
		ended := make(chan error)
		go func() {
			ended <- a.process.agent.Watch(t.Context(), func(Entry) error { <-reading; return nil })
		}()
		synctest.Wait()
		for range watcherQueue {
			a.carrier("eth0", false)
			synctest.Wait()
			a.carrier("eth0", true)
			synctest.Wait()
		}
		close(reading)
		if err := <-ended; !errors.Is(err, ErrWatcherSlow) {
			t.Errorf("error %v", err)
		}
	})
}

func TestHistoryIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a := l.node(11, apiserver)
		a.awaitSeated()
		for range historyLength {
			a.carrier("eth0", false)
			synctest.Wait()
			a.carrier("eth0", true)
			synctest.Wait()
		}
		h := a.process.agent.History()
		if len(h) != historyLength {
			t.Fatalf("%d entries, want %d", len(h), historyLength)
		}
		if last := h[len(h)-1]; last.To != StateBackup || h[0].From == StateInit {
			t.Errorf("the newest is %v, the oldest %v", last, h[0])
		}
		key := TransitionKey{To: StateFault, Reason: election.NoCarrier}
		if got := (*a.status("apiserver").Counters.Transitions.Load())[key]; got != historyLength {
			t.Errorf("%d transitions counted, want %d", got, historyLength)
		}
	})
}

func TestStatusOfAnOwnerAndABackup(t *testing.T) {
	hushedBubble(t, func(t *testing.T, l *lan) {
		l.able.Missing = "nftables"
		a, b := l.pair(apiserver)
		b.ail("apiserver", counter.Result{Ready: counter.OK, Live: counter.OK})
		common := Status{Schema: Schema, Version: "test", PID: 1, Config: "vipd.yaml", Hello: HelloStatus{Enabled: true}, Peers: []PeerStatus{}, BGP: BGPStatus{Speaker: "off", Neighbors: []NeighborStatus{}}, Loop: LoopStatus{LagSeconds99: 0.0001}}
		vip := VIPStatus{
			Name: "apiserver", Addresses: both[:1], Port: 6443, Interface: "eth0", Announce: "l2",
			Owner: "192.0.2.11", Healthy: true,
			Health:   []CheckStatus{{Name: "apiserver", Type: "https", Healthy: true, Alive: true}},
			Election: ElectionStatus{Type: "vrrp", Interface: "eth0", VRID: 10, Priority: 200, OwnerPriority: 200, Band: "healthy", Peers: ListedPeers{From: []string{}, Addresses: both[:0]}},
			Handover: HandoverStatus{Reason: "this kernel has not all that it takes: nftables", ForwardingTo: []string{}},
		}
		ignore := cmp.Options{
			cmpopts.IgnoreTypes(time.Time{}, &Counters{}, &CheckCounters{}),
			cmpopts.IgnoreFields(ElectionStatus{}, "LastAdvertAgeSeconds"),
			cmpopts.IgnoreFields(VIPStatus{}, "Detail"), cmpopts.EquateComparable(both[0]),
		}
		for _, row := range []struct {
			node   *node
			state  State
			reason election.Reason
		}{{a, StateOwner, election.NobodyHeard}, {b, StateBackup, election.Startup}} {
			want := common
			want.Node = row.node.name
			want.VIPs = []VIPStatus{vip}
			want.VIPs[0].State, want.VIPs[0].Reason = row.state, row.reason
			got := row.node.process.agent.Status()
			if diff := cmp.Diff(want, got, ignore); diff != "" {
				t.Errorf("status of %s (-want +got):\n%s", row.node.name, diff)
			}
			if age := got.VIPs[0].Election.LastAdvertAgeSeconds; age < 0 || age > 0.1 {
				t.Errorf("age of the last advert %v s", age)
			}
		}
	})
}

func TestStatusBeforeAnythingIsKnown(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a := l.node(11, `vips: [{name: apiserver, addresses: [192.0.2.10], interface: eth9}]`)
		s := a.status("apiserver")
		if s.Election.LastAdvertAgeSeconds != -1 || s.Owner != "" || s.Health == nil {
			t.Errorf("status %+v", s)
		}
	})
}

func TestStatusOfALoopThatDoesNotAnswerIsTheLastOne(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a := l.node(11, apiserver)
		a.awaitSeated()
		before := a.process.agent.Status()
		a.freeze()
		time.Sleep(time.Second)
		asked := time.Now()
		got := a.process.agent.Status()
		if !got.Time.Equal(before.Time) || time.Since(asked) != statusPatience {
			t.Errorf("status of %v after %v, want that of %v after %v", got.Time, time.Since(asked), before.Time, statusPatience)
		}
		if h := a.process.agent.History(); h != nil {
			t.Errorf("history %v from a loop that does not answer", h)
		}
	})
}

func TestHealthInStatus(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a := l.node(11, apiserver)
		a.awaitSeated()
		failed := time.Now()
		l.mu.Lock()
		a.probes["apiserver"] = ProbeResult{
			Result:  counter.Result{Ready: counter.Refused, Live: counter.Refused, Reason: "connection refused"},
			Latency: 3 * time.Millisecond, Warning: "the certificate ends soon",
			Certificate: &CertificateStatus{NotAfter: failed, CoversVIP: true, Names: []string{"192.0.2.10"}},
		}
		l.mu.Unlock()
		a.probe.tell(struct{}{})
		synctest.Wait()
		s := a.status("apiserver")
		want := CheckStatus{
			Name: "apiserver", Type: "https", Error: "connection refused",
			Warning: "the certificate ends soon", Since: failed, LatencySeconds: 0.003,
		}
		if diff := cmp.Diff(want, s.Health[0], cmpopts.IgnoreFields(CheckStatus{}, "Counters")); diff != "" {
			t.Errorf("check (-want +got):\n%s", diff)
		}
		if s.Certificate == nil || !s.Certificate.CoversVIP {
			t.Errorf("certificate %+v", s.Certificate)
		}
		if c := s.Health[0].Counters; c.Succeeded.Load() != 1 || c.Failed.Load() != 1 {
			t.Errorf("%d succeeded, %d failed; want one each", c.Succeeded.Load(), c.Failed.Load())
		}
	})
}

func TestCountersOfAdverts(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(apiserver)
		synctest.Wait()
		sent, received := a.status("apiserver").Counters.AdvertsSent.Load(), b.status("apiserver").Counters.AdvertsReceived.Load()
		time.Sleep(10 * time.Second)
		if got := a.status("apiserver").Counters.AdvertsSent.Load() - sent; got != 100 {
			t.Errorf("sent %d adverts in ten seconds, want 100", got)
		}
		if got := b.status("apiserver").Counters.AdvertsReceived.Load() - received; got != 100 {
			t.Errorf("received %d adverts in ten seconds, want 100", got)
		}
	})
}

func TestGroupsKeepTheOrderOfTheFile(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a := l.node(11, two)
		a.mustReload(`vips: [{name: new, addresses: [192.0.2.30]}, {name: ingress, addresses: [192.0.2.20]}, {name: apiserver, addresses: [192.0.2.10]}]`)
		var got []string
		for _, v := range a.process.agent.Status().VIPs {
			got = append(got, v.Name)
		}
		if diff := cmp.Diff([]string{"new", "ingress", "apiserver"}, got); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
	})
}
