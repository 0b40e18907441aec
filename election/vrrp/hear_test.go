package vrrp

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/election"
)

func TestHear(t *testing.T) {
	run(t, []transcript{
		{"foreign: no address in common: not processed, reported once", "", backup, `
			50ms  .14 adverts 64 of .77      -> report foreign by .14
			150ms .14 adverts 0 of .77 .78
			150ms timer is at 325ms`},
		{"foreign: not processed by an owner either", "", owner, `
			50ms .14 adverts 254 of .77 -> report foreign by .14
			60ms .14 adverts 0 of .77`},
		{"foreign: reported again when it had been gone for a minute", "", owner, `
			0s   .14 adverts 254 of .77 -> report foreign by .14
			59s  .14 adverts 254 of .77
			118s .14 adverts 254 of .77
			178s .14 adverts 254 of .77 -> report foreign by .14`},
		{"foreign: reported in Init too", "", nowhere, `
			0s .14 adverts 254 of .77 -> report foreign by .14`},
		{"differs: one address in common: processed, reported once", "addresses .10 .20", newcomer, `
			0ms   .13 adverts 192 of .10 -> report differs by .13
			100ms .13 adverts 192 of .10
			100ms timer is at 425ms`},
		{"differs: more addresses than ours are processed too", "", newcomer, `
			0ms .13 adverts 192 of .10 .20 -> report differs by .13
			0ms timer is at 325ms`},
		{"differs: an owner duels with it", "addresses .10 .20", lonelyOwner, `
			50ms .14 adverts 200 of .20 -> report differs by .14; active to backup, duel-lost; release; advert 128; reach 1 of .14`},
		{"7.1 the list in another order is the same list", "addresses .10 .20", newcomer, `
			0ms .13 adverts 192 of .20 .10`},
		{"7.1 a list that names one of our addresses twice is another list", "addresses .10 .20", newcomer, `
			0ms .13 adverts 192 of .10 .10 -> report differs by .13`},
		{"own address: an advert from it is not processed, reported once", "", backup, `
			50ms  .12 adverts 254 -> report own address by .12
			150ms .12 adverts 0
			150ms timer is at 325ms`},
		{"own address: an owner does not duel with itself", "", owner, `
			50ms .12 adverts 254 -> report own address by .12`},
	})
}

// TestDetails: what an operator reads.
func TestDetails(t *testing.T) {
	tests := []struct {
		name  string
		node  string
		begin begin
		event string
		at    string
		want  Action
	}{
		{"a takeover tells how long nothing was heard", "", backup, "tick", "325ms",
			Transition{Backup, Active, election.OwnerSilent, "no advert of 192.0.2.13 for 325ms"}},
		{"a resignation tells whose", "", afterZero, "tick", "25ms",
			Transition{Backup, Active, election.OwnerResigned, "192.0.2.13 advertised priority 0"}},
		{"a displacement tells both priorities", "", displacing, "held 1", "10ms",
			Transition{Displacing, Active, election.OwnerUnhealthy, "192.0.2.13 advertises priority 64, this node's is 192"}},
		{"a step down tells both priorities", "", owner, ".13 adverts 200", "10ms",
			Transition{Active, Backup, election.HigherPriority, "192.0.2.13 advertises priority 200, this node 192"}},
		{"a first claim tells why it may be made", "", probing, "probed 1 free", "10ms",
			Transition{Probing, Active, election.NobodyHeard, "nobody advertises the group or answers for its addresses"}},
		{"a VIP in use tells the station", "", probing, "probed 1 by 02:00:00:00:00:0d", "10ms",
			Transition{Probing, Probing, election.VIPAnswered, "VIP answered by 02:00:00:00:00:0d, no adverts heard"}},
		{"a late owner tells how late", "", owner, "tick", "5100ms",
			Transition{Active, Listening, election.Late, "the daemon could not run for 5s; listening before it adverts again"}},
		{"an undone displacement tells the kernel's error", "", displacing, "not held 1", "10ms",
			Report{Undone, last13, "no such device"}},
		{"an undone displacement tells the wait", "", displacing, "tick", "300ms",
			Report{Undone, last13, "the addresses were not held within 300ms"}},
		{"a rival is told with both priorities", "", owner, ".13 adverts 150", "10ms",
			Report{Rival, last13, "it advertises priority 150, this node 192"}},
		{"a foreign group is told with its addresses and the mend", "", backup, ".13 adverts 192 of .77", "10ms",
			Report{Foreign, last13, "VRID 51 is used for [192.0.2.77] too; give one of the groups another vrid"}},
		{"differing lists are told both", "", backup, ".13 adverts 192 of .10 .20", "10ms",
			Report{Differs, last13, "it lists [192.0.2.10 192.0.2.20], this node [192.0.2.10]"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newScript(t, test.node, test.begin)
			got := s.step(s.start.Add(s.duration(test.at)), s.event(test.event))
			if len(got) == 0 {
				t.Fatal("no action")
			}
			if diff := cmp.Diff(test.want, got[0], equalAddr); diff != "" {
				t.Errorf("first action (-want +got):\n%s", diff)
			}
		})
	}
}

// afterZero: healthy, .13 has just resigned.
func afterZero(s *script) time.Time {
	now := s.heard(true)
	s.step(now, s.advert(".13 adverts 0"))
	return now
}

// probing: healthy, has just asked who answers for the VIP.
func probing(s *script) time.Time {
	s.joined(true)
	now := s.m.Deadline()
	s.step(now, Tick{})
	s.mustBe(Probing)
	return now
}

// TestView: what status and metrics read of a machine.
func TestView(t *testing.T) {
	type view struct {
		State            State
		Owns             bool
		Band             election.Band
		Priority         uint8
		Owner, Rival     netip.Addr
		OwnerIs, RivalIs bool
	}
	tests := []struct {
		name  string
		begin begin
		lines string
		at    time.Duration
		want  view
	}{
		{"a node that heard nobody", newcomer, ``, 0,
			view{State: Backup, Band: election.Healthy, Priority: 192}},
		{"a backup knows the owner", backup, ``, 399 * ms,
			view{State: Backup, Band: election.Healthy, Priority: 192, Owner: last13, OwnerIs: true}},
		{"until the most patient backup has given it up", backup, ``, 400 * ms,
			view{State: Backup, Band: election.Healthy, Priority: 192, Owner: last13}},
		{"one that resigned is none", backup, `10ms .13 adverts 0`, 20 * ms,
			view{State: Backup, Band: election.Healthy, Priority: 192, Owner: last13}},
		{"an owner in a duel knows the rival", owner, `10ms .11 adverts 150`, 20 * ms,
			view{State: Active, Owns: true, Band: election.Healthy, Priority: 192, Owner: last13, OwnerIs: true, Rival: last(".11"), RivalIs: true}},
		{"a duel is over when the rival is silent", owner, `10ms .11 adverts 150`, time.Second,
			view{State: Active, Owns: true, Band: election.Healthy, Priority: 192, Owner: last13, Rival: last(".11")}},
		{"a lonely owner says what it advertises", lonelyOwner, ``, 59 * time.Second,
			view{State: Active, Owns: true, Band: election.Healthy, Priority: 128}},
		{"an unhealthy lonely one too", unhealthyLonelyOwner, ``, 0,
			view{State: Active, Owns: true, Band: election.Unhealthy, Priority: 2}},
		{"a draining owner", owner, `10ms drain`, 10 * ms,
			view{State: Active, Owns: true, Band: election.Draining, Priority: 1, Owner: last13, OwnerIs: true}},
		{"a resigning owner", owner, `10ms resign`, 10 * ms,
			view{State: Active, Owns: true, Band: election.Resigned, Owner: last13, OwnerIs: true}},
		{"a late owner still holds the VIP", owner, `5s tick`, 5 * time.Second,
			view{State: Listening, Owns: true, Band: election.Healthy, Priority: 192, Owner: last13}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newScript(t, "", test.begin)
			for _, line := range trimmed(test.lines) {
				s.play(line)
			}
			now := s.start.Add(test.at)
			got := view{State: s.m.State(), Owns: s.m.Owns(), Band: s.m.Band(), Priority: s.m.Priority(now)}
			o, ownerIs := s.m.Owner(now)
			r, rivalIs := s.m.Rival(now)
			got.Owner, got.OwnerIs, got.Rival, got.RivalIs = o.Addr, ownerIs, r.Addr, rivalIs
			if diff := cmp.Diff(test.want, got, equalAddr); diff != "" {
				t.Errorf("view (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBandOf(t *testing.T) {
	want := []struct {
		from, to uint8
		band     election.Band
	}{
		{0, 0, election.Resigned},
		{1, 1, election.Draining},
		{2, 127, election.Unhealthy},
		{128, 254, election.Healthy},
		{255, 255, election.Healthy},
	}
	for _, w := range want {
		for p := int(w.from); p <= int(w.to); p++ {
			if got := BandOf(uint8(p)); got != w.band {
				t.Errorf("priority %d is %v, want %v", p, got, w.band)
			}
		}
	}
}
