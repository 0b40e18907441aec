package flow

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func at(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func TestConnectionsThatCount(t *testing.T) {
	for state, want := range map[State]bool{
		Established: true, SynReceived: true, FinWait1: true, FinWait2: true, CloseWait: true, LastAck: true, Closing: true,
		TimeWait: false, Closed: false, Listening: false,
	} {
		all := []endpoint{{state: state, local: at("192.0.2.10:6443"), remote: at("192.0.2.99:1000")}}
		if got := len(to(all, vips, testPort)) == 1; got != want {
			t.Errorf("%s counts: %v", state, got)
		}
	}
}

func TestConnectionsToTheVIPOnly(t *testing.T) {
	rows := []struct {
		name  string
		local string
		want  bool
	}{
		{"VIP and port", "192.0.2.10:6443", true},
		{"the IPv6 VIP", "[2001:db8::10]:6443", true},
		{"another port", "192.0.2.10:22", false},
		{"the node's own address", "192.0.2.11:6443", false},
	}
	for _, row := range rows {
		all := []endpoint{{state: Established, local: at(row.local), remote: at("192.0.2.99:1000")}}
		if got := len(to(all, vips, testPort)) == 1; got != row.want {
			t.Errorf("%s: %v", row.name, got)
		}
	}
}

func TestSummary(t *testing.T) {
	open := []endpoint{
		{state: Established, remote: at("192.0.2.99:1"), quietFor: time.Second},
		{state: Established, remote: at("192.0.2.99:2"), quietFor: 199 * time.Millisecond},
		{state: Established, remote: at("192.0.2.99:3"), quietFor: time.Second, queued: 1},
		{state: CloseWait, remote: at("192.0.2.11:4"), quietFor: time.Second},
		{state: SynReceived, remote: at("192.0.2.99:5"), quietFor: -1},
	}
	want := Connections{Count: 5, Local: 1, Remote: 4, Idle: 2, ByState: map[State]int{Established: 3, CloseWait: 1, SynReceived: 1}}
	if diff := cmp.Diff(want, summary(open, func(a netip.Addr) bool { return a == a4 })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestStrandedClients(t *testing.T) {
	const vip = "192.0.2.10:6443"
	all := []endpoint{
		{state: Established, local: at("192.0.2.11:1"), remote: at(vip)}, // served here
		{state: Established, local: at(vip), remote: at("192.0.2.11:1")},
		{state: Established, local: at("192.0.2.11:2"), remote: at(vip)},               // served elsewhere
		{state: TimeWait, local: at("192.0.2.11:3"), remote: at(vip)},                  // over
		{state: Established, local: at("192.0.2.11:4"), remote: at("192.0.2.9:6443")},  // not the VIP
		{state: Established, local: at("192.0.2.11:5"), remote: at("192.0.2.10:7000")}, // not the port
	}
	var got []uint16
	for _, e := range strandedClients(all, vips, testPort) {
		got = append(got, e.local.Port())
	}
	if diff := cmp.Diff([]uint16{2}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCountersTellABlock(t *testing.T) {
	rows := []struct {
		name          string
		earlier, then Counters
		want          bool
	}{
		{"nothing passed on", Counters{}, Counters{}, false},
		{"passed on, and left", Counters{Forwarded: 5, Left: 5}, Counters{Forwarded: 9, Left: 9}, false},
		{"passed on, and not left", Counters{Forwarded: 5, Left: 5}, Counters{Forwarded: 9, Left: 5}, true},
		{"some of it left", Counters{Forwarded: 5, Left: 5}, Counters{Forwarded: 9, Left: 6}, false},
	}
	for _, row := range rows {
		if got := row.then.BlockedSince(row.earlier); got != row.want {
			t.Errorf("%s: %v", row.name, got)
		}
	}
}
