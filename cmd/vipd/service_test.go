package main

import (
	"testing"
	"time"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/election"
)

// group is one VIP's state for the service manager.
func group(state agent.State, heard string, reason election.Reason) agent.VIPStatus {
	return agent.VIPStatus{Name: "apiserver", State: state, Owner: heard, Reason: reason, Healthy: true}
}

func TestAStartIsCompleteWhenTheElectionIsKnown(t *testing.T) {
	const other = "192.0.2.12"
	tests := []struct {
		name string
		vips []agent.VIPStatus
		age  time.Duration
		want bool
	}{
		{"the interface is not known yet: not, however long it takes", []agent.VIPStatus{group(agent.StateInit, "", election.Startup)}, time.Hour, false},
		{"owner", []agent.VIPStatus{group(agent.StateOwner, other, election.OwnerSilent)}, 0, true},
		{"backup of an owner that is heard", []agent.VIPStatus{group(agent.StateBackup, other, election.Startup)}, 0, true},
		{"backup that hears nobody may be owner in a moment", []agent.VIPStatus{group(agent.StateBackup, "", election.Startup)}, startPatience - 1, false},
		{"backup that hears nobody and goes on listening", []agent.VIPStatus{group(agent.StateBackup, "", election.Startup)}, startPatience, true},
		{"backup because some station answers for the VIP", []agent.VIPStatus{group(agent.StateBackup, "", election.VIPAnswered)}, 0, true},
		{"fault", []agent.VIPStatus{group(agent.StateFault, "", election.NoCarrier)}, 0, true},
		{"drained", []agent.VIPStatus{group(agent.StateDrained, "", election.Drain)}, 0, true},
		{"one of two is not known yet", []agent.VIPStatus{group(agent.StateOwner, other, ""), group(agent.StateBackup, "", "")}, 0, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := electionKnown(agent.Status{VIPs: test.vips}, test.age); got != test.want {
				t.Errorf("complete: %t", got)
			}
		})
	}
}

func TestStatusLine(t *testing.T) {
	sick := group(agent.StateOwner, "192.0.2.11", "")
	sick.Healthy, sick.DuplicateOwner = false, true
	web := group(agent.StateBackup, "", "")
	web.Name = "web"
	tests := []struct {
		name     string
		vips     []agent.VIPStatus
		reloaded bool
		want     string
	}{
		{"owner", []agent.VIPStatus{group(agent.StateOwner, "192.0.2.11", "")}, true, "apiserver: owner"},
		{"backup", []agent.VIPStatus{group(agent.StateBackup, "192.0.2.12", "")}, true, "apiserver: backup, owner 192.0.2.12"},
		{"drained", []agent.VIPStatus{group(agent.StateDrained, "192.0.2.12", "")}, true, "apiserver: drained, owner 192.0.2.12"},
		{"fault", []agent.VIPStatus{group(agent.StateFault, "", election.NoCarrier)}, true, "apiserver: fault (no-carrier), see vipd status"},
		{"what is bad is told, of each VIP", []agent.VIPStatus{sick, web}, false,
			"apiserver: owner, another station claims it too, unhealthy; web: backup, no owner heard; the last reload failed, see vipd check"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := statusLine(agent.Status{VIPs: test.vips}, test.reloaded); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestADrainForAShutdownTakesAsLongAsIsConfigured(t *testing.T) {
	r := newRun(t)
	r.configPath = file(t, "node: cp1\nvips: [{addresses: [192.0.2.10]}]\ndrain: {shutdown_timeout: 7s}\n")
	if got := r.shutdownTimeout(); got != 7*time.Second {
		t.Errorf("%v, want what is configured", got)
	}
	r.configPath = file(t, "vips: no\n")
	if got := r.shutdownTimeout(); got != defaultShutdownTimeout || r.err.Len() == 0 {
		t.Errorf("%v, want %v with a warning; stderr: %s", got, defaultShutdownTimeout, &r.err)
	}
}
