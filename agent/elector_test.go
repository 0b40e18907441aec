package agent

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/election"
	"github.com/vipd/vipd/election/vrrp"
)

func TestEveryNode(t *testing.T) {
	up := vrrp.LinkUp{}
	down := vrrp.LinkDown{Reason: election.TrackedInterface, Detail: "eth1 is down"}
	drain := vrrp.SetDuty{Duty: vrrp.Drain, Reason: election.Drain}
	serve := vrrp.SetDuty{Duty: vrrp.Serve, Reason: election.Undrain}
	took := func(attempt uint64, from vrrp.State, reason election.Reason) []vrrp.Action {
		return []vrrp.Action{vrrp.Hold{Attempt: attempt}, vrrp.Transition{From: from, To: vrrp.Active, Reason: reason}}
	}
	rows := []struct {
		name   string
		before []vrrp.Event
		event  vrrp.Event
		want   []vrrp.Action
		band   election.Band
	}{
		{"a node that starts holds the VIP, healthy or not", nil, up, took(1, vrrp.Init, election.EveryNode), election.Unhealthy},
		{"a drained one does not", []vrrp.Event{drain}, up, []vrrp.Action{
			vrrp.Release{}, vrrp.Transition{From: vrrp.Init, To: vrrp.Backup, Reason: election.Startup},
		}, election.Draining},
		{"health moves nothing", []vrrp.Event{up}, vrrp.Health{Healthy: true}, nil, election.Healthy},
		{"a drain moves nothing by itself", []vrrp.Event{up}, drain, nil, election.Draining},
		{"it is given up when it is told", []vrrp.Event{up, drain}, vrrp.Abandon{Reason: election.Drain}, []vrrp.Action{
			vrrp.Release{}, vrrp.Transition{From: vrrp.Active, To: vrrp.Backup, Reason: election.Drain},
		}, election.Draining},
		{"undrained, it holds again", []vrrp.Event{up, drain, vrrp.Abandon{Reason: election.Drain}}, serve, took(2, vrrp.Backup, election.Undrain), election.Unhealthy},
		{"undrained before it was given up, nothing moves", []vrrp.Event{up, drain}, serve, nil, election.Unhealthy},
		{"a fault releases", []vrrp.Event{up}, down, []vrrp.Action{
			vrrp.Release{}, vrrp.Transition{From: vrrp.Active, To: vrrp.Init, Reason: election.TrackedInterface, Detail: "eth1 is down"},
		}, election.Unhealthy},
		{"a fault that goes on releases again, without a word", []vrrp.Event{up, down}, down, []vrrp.Action{vrrp.Release{}}, election.Unhealthy},
		{"what it has is not held twice", []vrrp.Event{up}, up, nil, election.Unhealthy},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			m := &everyNode{}
			now := time.Now()
			for _, ev := range row.before {
				m.Step(now, ev)
			}
			got := append([]vrrp.Action(nil), m.Step(now, row.event)...)
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if m.Band() != row.band {
				t.Errorf("band %s, want %s", m.Band(), row.band)
			}
		})
	}
}
