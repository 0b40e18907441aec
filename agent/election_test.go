package agent

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/health/counter"
)

// bubble runs a story in virtual time, once where hellos arrive and once where
// they do not: the election is the same.
func bubble(t *testing.T, story func(t *testing.T, l *lan)) {
	t.Helper()
	t.Run("with hellos", func(t *testing.T) { helloBubble(t, story) })
	t.Run("without hellos", func(t *testing.T) { hushedBubble(t, story) })
}

// helloBubble runs a story that is another one without hellos.
func helloBubble(t *testing.T, story func(t *testing.T, l *lan)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { story(t, newLAN(t)) })
}

// hushedBubble runs a story that is another one with hellos.
func hushedBubble(t *testing.T, story func(t *testing.T, l *lan)) {
	t.Helper()
	helloBubble(t, func(t *testing.T, l *lan) { l.hush(); story(t, l) })
}

// saw compares what happened since a time with what should have, repetitions
// left out.
func (l *lan) saw(from time.Time, want ...string) {
	l.t.Helper()
	synctest.Wait()
	var got []string
	for _, line := range l.since(from, func(happening) bool { return true }) {
		if len(got) == 0 || got[len(got)-1] != line {
			got = append(got, line)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		l.t.Errorf("on the segment (-want +got):\n%s", diff)
	}
}

// never fails the test if something happened since a time.
func (l *lan) never(from time.Time, prefix string) {
	l.t.Helper()
	synctest.Wait()
	for _, line := range l.since(from, func(happening) bool { return true }) {
		if strings.HasPrefix(line, prefix) {
			l.t.Errorf("on the segment: %s", line)
		}
	}
}

func TestFirstNodeClaimsAfterAsking(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		began := time.Now()
		a := l.node(11, apiserver)
		a.awaitSeated()
		a.tells("init -> backup: startup", "backup -> owner: nobody-heard")
		// It heard nobody, so it yields to whoever was seated before: it
		// advertises the lowest value of its band for a minute.
		time.Sleep(time.Until(began.Add(59 * time.Second)))
		if got := a.status("apiserver").Election.Priority; got != 128 {
			t.Errorf("priority of a lonely owner %d, want 128", got)
		}
		time.Sleep(3 * time.Second)
		if got := a.status("apiserver").Election.Priority; got != 200 {
			t.Errorf("priority after a minute %d, want 200", got)
		}
		l.unbroken()
	})
}

func TestVIPThatSomeStationHasIsNotClaimed(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		squatter := l.bare(99, apiserver)
		squatter.configure("eth0", "192.0.2.10/32")
		a := l.node(11, apiserver)
		await(t, "the node tells why it does not claim", func() bool { return a.status("apiserver").Reason == "vip-answered" })
		time.Sleep(time.Minute)
		a.tells("init -> backup: startup", "backup -> backup: vip-answered")
		if diff := cmp.Diff([]string{"cp99"}, l.holders(theVIP)); diff != "" {
			t.Errorf("holders (-want +got):\n%s", diff)
		}
		left := time.Now()
		squatter.remove("eth0", "192.0.2.10/32")
		a.awaitSeated()
		if quiet := time.Since(left); quiet < 4*time.Second {
			t.Errorf("claimed %v after the last answer may have come", quiet)
		}
		a.tells("init -> backup: startup", "backup -> backup: vip-answered", "backup -> owner: nobody-heard")
	})
}

func TestCrashOfTheOwner(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(apiserver)
		a.powerOff()
		b.awaitSeated()
		b.tells("init -> backup: startup", "backup -> owner: owner-silent")
		if got := l.reaches(theVIP); got != "cp12" {
			t.Errorf("the client reaches %q", got)
		}
		if got := len(l.outages(theVIP)); got != 1 {
			t.Errorf("outages %v, want the one until the takeover", l.outages(theVIP))
		}
	})
}

func TestKilledDaemonLosesTheVIPToItsFence(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(apiserver)
		time.Sleep(time.Minute)
		l.unbroken() // refreshed again and again
		killed := time.Now()
		a.kill()
		b.awaitSeated()
		tookOver := b.status("apiserver").Since
		time.Sleep(10 * time.Second)
		lost := l.times(killed, "cp11", "loses 192.0.2.10")
		if len(lost) != 1 || lost[0] <= 2*time.Second-holdDeadline || lost[0] > 3*time.Second {
			t.Errorf("the dead daemon's address went after %v; it is refreshed each second for three", lost)
		}
		want := []time.Duration{0, 50 * time.Millisecond, 200 * time.Millisecond, time.Second, 3 * time.Second, 4 * time.Second}
		if diff := cmp.Diff(want, l.times(tookOver, "cp12", "announces 192.0.2.10")); diff != "" {
			t.Errorf("announcements after the takeover, with one more after the fence (-want +got):\n%s", diff)
		}
	})
}

func TestAnnouncementsOfAnUndisturbedOwner(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a := l.node(11, `vips: [{name: apiserver, addresses: [192.0.2.10], garp: {burst: 7, refresh: 30s}}]`)
		a.awaitSeated()
		owned := a.status("apiserver").Since
		time.Sleep(time.Minute + 10*time.Second)
		ms := time.Millisecond
		want := []time.Duration{0, 50 * ms, 200 * ms, 1000 * ms, 3000 * ms, 5000 * ms, 7000 * ms, 37000 * ms, 67000 * ms}
		if diff := cmp.Diff(want, l.times(owned, "cp11", "announces 192.0.2.10")); diff != "" {
			t.Errorf("announcements (-want +got):\n%s", diff)
		}
	})
}

// Go's select has no order, so what a daemon sees first when it goes on differs
// from run to run: the story is told several times.
func TestFrozenOwnerDoesNotComeBack(t *testing.T) {
	for range 20 {
		bubble(t, func(t *testing.T, l *lan) {
			a, b := l.pair(apiserver)
			a.freeze()
			b.awaitSeated()
			time.Sleep(10 * time.Second)
			if diff := cmp.Diff([]string{"cp12"}, l.holders(theVIP)); diff != "" {
				t.Fatalf("holders while the first owner is frozen (-want +got):\n%s", diff)
			}
			thawed := time.Now()
			a.thaw()
			a.awaitAt(StateBackup)
			time.Sleep(10 * time.Second)
			l.never(thawed, "cp11 gets")
			l.never(thawed, "cp11 announces")
			if !b.seated() || l.reaches(theVIP) != "cp12" {
				t.Error("the new owner lost the VIP to the one that came back")
			}
		})
	}
}

func TestFrozenLoneOwnerGoesOnAfterListening(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a := l.node(11, apiserver)
		a.awaitSeated()
		time.Sleep(time.Minute)
		a.freeze()
		time.Sleep(time.Second)
		frozen := time.Now()
		a.thaw()
		await(t, "the owner goes on", func() bool { return len(l.times(frozen, "cp11", "announces 192.0.2.10")) > 0 })
		a.tells(
			"init -> backup: startup", "backup -> owner: nobody-heard",
			"owner -> owner: late",
		)
		if got := a.status("apiserver").Counters.Restored.Load(); got != 0 {
			t.Errorf("%d addresses count as removed by someone else", got)
		}
		if a.process.agent.Loop().Late.Load() == 0 {
			t.Error("the loop was late, and does not say so")
		}
		l.unbroken()
	})
}

func TestDeathOfTheAPIServerMovesTheVIPWithoutAGap(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		// What a node says, what its kernel does then and what the other node makes
		// of it must not fall together.
		l.delay = time.Millisecond
		a, b := l.pair(apiserver)
		a.set(func(h *host) { h.stall = 100 * time.Microsecond })
		time.Sleep(time.Minute + 50*time.Millisecond)
		died := time.Now()
		a.die()
		b.awaitSeated()
		a.awaitAt(StateBackup)
		l.saw(died,
			"cp11 adverts 100",
			"cp12 gets 192.0.2.10",
			"cp12 announces 192.0.2.10",
			"cp12 adverts 200",
			"cp11 adverts 100", // its last word
			"cp11 loses 192.0.2.10",
			"cp12 adverts 200",
			"cp12 announces 192.0.2.10",
		)
		a.tells("init -> backup: startup", "backup -> owner: nobody-heard", "owner -> backup: unhealthy")
		b.tells("init -> backup: startup", "backup -> owner: owner-unhealthy")
		if got, want := a.process.agent.History()[2].Detail, "check apiserver: connection refused; 192.0.2.12 advertises priority 200, this node 100"; got != want {
			t.Errorf("detail %q, want %q", got, want)
		}
		l.unbroken()
		a.recover()
		time.Sleep(time.Minute)
		if !b.seated() {
			t.Error("the recovered node took the VIP back from a healthy owner")
		}
	})
}

func TestAllUnhealthyKeepsTheVIPSomewhere(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(apiserver)
		b.die()
		a.die()
		time.Sleep(time.Minute)
		if !a.seated() {
			t.Error("the owner gave the VIP up although nobody is better")
		}
		a.powerOff()
		b.awaitSeated()
		if b.status("apiserver").Healthy {
			t.Error("the new owner says it is healthy")
		}
		c := l.node(13, apiserver)
		c.awaitSeated()
		b.awaitAt(StateBackup)
	})
}

func TestUnhealthyDelay(t *testing.T) {
	const file = `vips: [{name: apiserver, addresses: [192.0.2.10], unhealthy_delay: 5s}]`
	bubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(file)
		slow := counter.Result{Ready: counter.ServerError, Live: counter.OK, Reason: "HTTP 500"}
		a.ail("apiserver", slow)
		a.ail("apiserver", slow) // fall: 2
		failed := time.Now()
		time.Sleep(4900 * time.Millisecond)
		if !a.status("apiserver").Healthy || !a.seated() {
			t.Error("the owner fell before its unhealthy_delay")
		}
		b.awaitSeated()
		if got := l.times(failed, "cp11", "adverts 100"); len(got) == 0 || got[0] != 5*time.Second {
			t.Errorf("the owner told that it is unhealthy after %v, want 5s", got)
		}
	})
	bubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(file)
		died := time.Now()
		a.die()
		b.awaitSeated()
		if got := l.times(died, "cp11", "adverts 100"); len(got) == 0 || got[0] != 0 {
			t.Errorf("a dead process was told after %v, want at once", got)
		}
	})
}

func TestPartitionAndHeal(t *testing.T) {
	// Whoever speaks first after the segment is whole: the winner must learn that
	// there were two owners, and tell the clients of the other side.
	for _, first := range []string{"cp12", "cp11"} {
		t.Run(first+" adverts last before the segment is whole", func(t *testing.T) {
			bubble(t, func(t *testing.T, l *lan) {
				a, b := l.pair(apiserver)
				time.Sleep(2 * time.Minute) // nobody is lonely any more
				l.split([]*node{b}, []*node{a})
				b.awaitSeated()
				time.Sleep(50 * time.Second)
				if !a.seated() || l.reaches(theVIP) != "cp12" {
					t.Fatal("not one owner in each part")
				}
				await(t, "an advert of "+first, func() bool { return len(l.times(time.Now().Add(-5*time.Millisecond), first, "adverts 200")) > 0 })
				healed := time.Now()
				l.heal()
				await(t, "one owner", func() bool { return a.is(StateBackup) != b.is(StateBackup) })
				// On a tie the higher address wins (RFC 9568 6.4.3), and tells the segment.
				if !b.seated() {
					t.Error("the lower address won")
				}
				if got := l.times(healed, "cp12", "announces 192.0.2.10"); len(got) == 0 || got[0] > 110*time.Millisecond {
					t.Errorf("announced %v after the segment was whole, want within an interval", got)
				}
				a.tells("init -> backup: startup", "backup -> owner: nobody-heard", "owner -> backup: duel-lost")
				if got := b.status("apiserver").Counters.DuplicateOwners.Load(); got != 1 {
					t.Errorf("%d episodes of two owners, want 1", got)
				}
				time.Sleep(time.Minute)
				if got := l.reaches(theVIP); got != "cp12" {
					t.Errorf("the client reaches %q", got)
				}
			})
		})
	}
}

// A switch port that forwards late must not move the VIP: who never heard the
// group loses to who did.
func TestNewcomerBehindASlowPortLosesToTheSeatedOwner(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a := l.node(11, apiserver)
		a.awaitSeated()
		time.Sleep(2 * time.Minute)
		b := l.bare(12, apiserver)
		l.split([]*node{a}, []*node{b})
		b.start()
		b.awaitSeated()
		l.heal()
		b.awaitAt(StateBackup)
		if !a.seated() {
			t.Error("the newcomer with the higher address took the VIP from the seated owner")
		}
		b.tells("init -> backup: startup", "backup -> owner: nobody-heard", "owner -> backup: duel-lost")
	})
}

func TestPreemptAlwaysMovesWithoutAGap(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		group := func(priority string) string {
			return `vips: [{name: apiserver, addresses: [192.0.2.10], vrrp: {preempt: always, preempt_delay: 5s, priority: ` + priority + `}}]`
		}
		a := l.node(11, group("150"))
		a.awaitSeated()
		time.Sleep(2 * time.Minute)
		b := l.node(12, group("220"))
		b.awaitSeated()
		a.awaitAt(StateBackup)
		time.Sleep(10 * time.Second)
		a.tells("init -> backup: startup", "backup -> owner: nobody-heard", "owner -> backup: higher-priority")
		b.tells("init -> backup: startup", "backup -> owner: higher-priority")
		if got := a.status("apiserver").Counters.DuplicateOwners.Load(); got != 0 {
			t.Errorf("the successor's announcement counts as %d duplicate owners", got)
		}
		l.unbroken()
	})
}

func TestStartupDelay(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		began := time.Now()
		a := l.node(11, `vips: [{name: apiserver, addresses: [192.0.2.10], vrrp: {startup_delay: 20s}}]`)
		a.awaitSeated()
		if got := l.times(began, "cp11", "gets 192.0.2.10"); got[0] < 20*time.Second {
			t.Errorf("owned after %v", got)
		}
	})
}

func TestDualStackGroupMovesWhole(t *testing.T) {
	for _, row := range []struct{ name, addresses string }{
		{"adverts over IPv4", `192.0.2.10, "2001:db8::aaaa"`},
		{"adverts over IPv6", `"2001:db8::aaaa", 192.0.2.10`},
		{"IPv6 only", `"2001:db8::aaaa"`},
		{"IPv6 with a link-local VIP", `"2001:db8::aaaa", "fe80::aaaa"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, l *lan) {
				a, b := l.node(11, dual(row.addresses)), l.bare(12, dual(row.addresses))
				a.awaitAt(StateOwner)
				b.start()
				b.awaitReady()
				a.die()
				b.awaitAt(StateOwner)
				a.awaitAt(StateBackup)
				synctest.Wait()
				for _, addr := range b.status("apiserver").Addresses {
					if diff := cmp.Diff([]string{"cp12"}, l.holders(addr.String())); diff != "" {
						t.Errorf("holders of %v (-want +got):\n%s", addr, diff)
					}
					if got := l.outages(addr.String()); len(got) > 0 {
						t.Errorf("%v could not be reached for %v", addr, got)
					}
				}
			})
		})
	}
}

func dual(addresses string) string {
	return `vips: [{name: apiserver, interface: eth0, addresses: [` + addresses + `]}]`
}

func TestForeignGroupUnderTheSameVRID(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a := l.node(11, apiserver)
		foreign := l.node(13, `vips: [{name: apiserver, addresses: [192.0.2.30], vrrp: {vrid: 10}}]`)
		a.awaitSeated()
		foreign.awaitAt(StateOwner)
		time.Sleep(time.Minute)
		if !a.seated() || !foreign.is(StateOwner) {
			t.Error("groups that have no address in common disturb each other")
		}
		if got := a.logged("mac=02:00:00:00:00:0d"); len(got) != 1 {
			t.Errorf("the other station is told by its MAC once, not like this: %q", got)
		}
	})
}

func TestLossySegmentMovesNothing(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(apiserver)
		c := l.node(13, apiserver)
		c.awaitReady()
		l.mu.Lock()
		l.delay = 5 * time.Millisecond
		l.mu.Unlock()
		adverts := 0
		l.lose(func(_, _ *host) bool { adverts++; return adverts%3 != 0 }) // at most two in a row
		time.Sleep(time.Hour)
		b.tells("init -> backup: startup")
		c.tells("init -> backup: startup")
		l.unbroken()
		l.lose(func(from, _ *host) bool { return from == a.host })
		await(t, "another owner", func() bool { return b.is(StateOwner) || c.is(StateOwner) })
		time.Sleep(time.Minute)
		// The owner that is not heard hears, and yields.
		a.awaitAt(StateBackup)
		if b.is(StateOwner) == c.is(StateOwner) {
			t.Error("two owners, or none")
		}
	})
}

func TestOneOfManyTakesOver(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(apiserver)
		nodes := []*node{b}
		for last := byte(13); last < 18; last++ {
			n := l.node(last, apiserver)
			n.awaitReady()
			nodes = append(nodes, n)
		}
		died := time.Now()
		a.die()
		a.awaitAt(StateBackup)
		time.Sleep(time.Second)
		var owners []string
		for _, n := range nodes {
			if n.is(StateOwner) {
				owners = append(owners, n.name)
			}
		}
		if diff := cmp.Diff(l.holders(theVIP), owners); diff != "" || len(owners) != 1 {
			t.Errorf("owners %v, holders %v", owners, l.holders(theVIP))
		}
		if got := l.times(died, owners[0], "adverts 200"); got[0] > 300*time.Millisecond {
			t.Errorf("the takeover from a living owner took %v, as if it were dead", got[0])
		}
		// Candidates with the same tie skew announce at the same moment; the one
		// that stays does it again as soon as that is decided.
		for _, lasted := range l.outages(theVIP) {
			if lasted > outcryDelay {
				t.Errorf("the VIP could not be reached for %v", lasted)
			}
		}
	})
}
