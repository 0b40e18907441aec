package agent

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRemovedVIPIsPutBackAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a, _ := l.pair(apiserver)
		for range 3 {
			a.remove("eth0", "192.0.2.10/32")
			synctest.Wait()
		}
		if !a.seated() {
			t.Error("the owner stepped down")
		}
		if got := a.status("apiserver").Counters.Restored.Load(); got != 3 {
			t.Errorf("restored %d times, want 3", got)
		}
		a.tells("init -> backup: startup", "backup -> owner: nobody-heard")
		l.unbroken()
	})
}

func TestVIPThatCameBeforeTheNodesAddressIsPutBehindIt(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a := l.bare(11, apiserver)
		// A leftover that stands first, as after a restart of the network.
		a.remove("eth0", "192.0.2.11/24")
		a.configure("eth0", "192.0.2.10/32")
		a.configure("eth0", "192.0.2.11/24")
		a.start()
		a.awaitSeated()
		want := []string{"2001:db8::11/64", "fe80::11/64", "192.0.2.11/24", "192.0.2.10/32"}
		if diff := cmp.Diff(want, a.listed("eth0")); diff != "" {
			t.Errorf("addresses in the kernel's order (-want +got):\n%s", diff)
		}
	})
}

func TestOwnerThatCannotHoldGivesTheVIPUp(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(apiserver)
		broke := time.Now()
		a.set(func(h *host) { h.refused = errors.New("operation not permitted") })
		b.awaitSeated()
		a.awaitAt(StateBackup)
		a.tells("init -> backup: startup", "backup -> owner: nobody-heard", "owner -> backup: hold-failed")
		if diff := cmp.Diff([]string{"cp12"}, l.holders(theVIP)); diff != "" {
			t.Errorf("holders (-want +got):\n%s", diff)
		}
		// The first refresh that fails comes within a second, and a second of
		// failures is borne: two of the fence's three.
		if told := l.times(broke, "cp11", "adverts 100"); len(told) == 0 || told[0] > 2*time.Second {
			t.Errorf("told after %v", told)
		}
		l.unbroken()

		a.set(func(h *host) { h.refused = nil })
		await(t, "the node is fit again", func() bool { return a.status("apiserver").Healthy })
		b.powerOff()
		a.awaitSeated()
	})
}

func TestBackupThatCannotHoldDoesNotDisplace(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(apiserver)
		b.set(func(h *host) { h.refused = errors.New("operation not permitted") })
		died := time.Now()
		a.die()
		time.Sleep(10 * time.Second)
		if !a.seated() {
			t.Error("the unhealthy owner left though its successor cannot hold the VIP")
		}
		l.never(died, "cp12 adverts")
		b.tells("init -> backup: startup")
		b.set(func(h *host) { h.refused = nil })
		b.awaitSeated()
		l.unbroken()
	})
}

// A successor that announced itself and then let go led the clients away: the
// owner must lead them back.
func TestOwnerAnnouncesAgainAfterAnUndoneTakeover(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(apiserver)
		// Longer than the wait for the addresses of a displacement.
		b.set(func(h *host) { h.stall = 400 * time.Millisecond })
		a.die()
		time.Sleep(20 * time.Second)
		if !a.seated() || l.reaches(theVIP) != "cp11" {
			t.Errorf("the client reaches %q", l.reaches(theVIP))
		}
		for _, lasted := range l.outages(theVIP) {
			if lasted > time.Second {
				t.Errorf("the VIP could not be reached for %v", lasted)
			}
		}
	})
}

func TestAnnouncementsThatFail(t *testing.T) {
	t.Run("of an owner: it holds on, and the next one is made", func(t *testing.T) {
		bubble(t, func(t *testing.T, l *lan) {
			a, _ := l.pair(`vips: [{name: apiserver, addresses: [192.0.2.10], garp: {refresh: 10s}}]`)
			a.set(func(h *host) { h.unheard = errors.New("no buffer space available") })
			time.Sleep(time.Minute)
			if s := a.status("apiserver"); s.State != StateOwner || !s.Healthy {
				t.Errorf("state %s, healthy %v", s.State, s.Healthy)
			}
			mended := time.Now()
			a.set(func(h *host) { h.unheard = nil })
			time.Sleep(10 * time.Second)
			if len(l.times(mended, "cp11", "announces 192.0.2.10")) == 0 {
				t.Error("not announced after the cause was gone")
			}
			l.unbroken()
		})
	})
	t.Run("of a successor: it does not displace a living owner", func(t *testing.T) {
		bubble(t, func(t *testing.T, l *lan) {
			a, b := l.pair(apiserver)
			b.set(func(h *host) { h.unheard = errors.New("no buffer space available") })
			died := time.Now()
			a.die()
			time.Sleep(10 * time.Second)
			l.never(died, "cp12 adverts")
			if !a.seated() {
				t.Error("the owner left for a successor that nobody can find")
			}
			l.unbroken()
		})
	})
}

// The loop never waits for the kernel: adverts go on, and what comes too late is
// not done.
func TestSlowKernel(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(apiserver)
		slowed := time.Now()
		a.set(func(h *host) { h.stall = 5 * time.Second })
		time.Sleep(1900 * time.Millisecond)
		adverts := l.times(slowed, "cp11", "adverts 200")
		for i := 1; i < len(adverts); i++ {
			if spacing := adverts[i] - adverts[i-1]; spacing > 100*time.Millisecond {
				t.Fatalf("adverts %v apart while the kernel is slow", spacing)
			}
		}
		// A refresh that takes five seconds is undone; the others take over as
		// soon as the owner knows that it cannot hold.
		b.awaitSeated()
		a.awaitAt(StateBackup)
		a.set(func(h *host) { h.stall = 0 })
		time.Sleep(time.Minute)
		if diff := cmp.Diff([]string{"cp12"}, l.holders(theVIP)); diff != "" {
			t.Errorf("holders (-want +got):\n%s", diff)
		}
		if got := a.status("apiserver").Counters.Restored.Load(); got != 0 {
			t.Errorf("%d addresses count as removed by someone else", got)
		}
	})
}

// The kernel removes what is not refreshed, and tells: an owner that cannot put
// it back for a second is no owner to rely on.
func TestKernelThatDoesNotAnswerForLong(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(apiserver)
		slowed := time.Now()
		a.set(func(h *host) { h.stall = 30 * time.Second })
		b.awaitSeated()
		expired := l.times(slowed, "cp11", "loses 192.0.2.10")
		if told := l.times(slowed, "cp11", "adverts 100"); len(expired) == 0 || len(told) == 0 || told[0] != expired[0]+unheldMax {
			t.Errorf("lost after %v, told after %v, want a second between", expired, told)
		}
		a.tells("init -> backup: startup", "backup -> owner: nobody-heard", "owner -> backup: hold-failed")
		if got := a.process.agent.History()[2].Detail; !strings.HasPrefix(got, "the VIP cannot be put on this node: the kernel did not answer") {
			t.Errorf("detail %q", got)
		}
		time.Sleep(time.Minute)
		if diff := cmp.Diff([]string{"cp12"}, l.holders(theVIP)); diff != "" {
			t.Errorf("holders (-want +got):\n%s", diff)
		}
	})
}

func TestAnotherClaimantIsAnsweredWithinTheRate(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a := l.node(11, `vips: [{name: apiserver, addresses: [192.0.2.10], garp: {refresh: 0s, burst: 1}}]`)
		squatter := l.bare(99, apiserver)
		a.awaitSeated()
		time.Sleep(time.Minute)
		attacked := time.Now()
		for time.Since(attacked) < time.Minute {
			l.mu.Lock()
			l.announce(squatter.host, vip4)
			l.mu.Unlock()
			time.Sleep(100 * time.Millisecond)
		}
		s := time.Second
		want := []time.Duration{0, 1 * s, 3 * s, 7 * s, 15 * s, 31 * s}
		got := l.times(attacked.Add(defenceDelay), "cp11", "announces 192.0.2.10")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("announcements in defence, after the claim may have been a successor's (-want +got):\n%s", diff)
		}
		status := a.status("apiserver")
		if got := status.Counters.DuplicateOwners.Load(); got != 1 || !status.DuplicateOwner {
			t.Errorf("%d episodes, present %v; want 1, true", got, status.DuplicateOwner)
		}
		time.Sleep(time.Minute)
		if a.status("apiserver").DuplicateOwner {
			t.Error("a claimant that fell silent counts still")
		}
	})
}

func TestLeftoverOfAnEarlierLife(t *testing.T) {
	t.Run("another owner is heard: taken off", func(t *testing.T) {
		bubble(t, func(t *testing.T, l *lan) {
			l.node(11, apiserver).awaitSeated()
			b := l.bare(12, apiserver)
			b.configure("eth0", "192.0.2.10/32")
			b.start()
			b.awaitReady()
			await(t, "the leftover is gone", func() bool { return cmp.Equal([]string{"cp11"}, l.holders(theVIP)) })
		})
	})
	t.Run("nobody is heard: adopted", func(t *testing.T) {
		bubble(t, func(t *testing.T, l *lan) {
			a := l.bare(11, apiserver)
			a.configure("eth0", "192.0.2.10/32")
			a.start()
			a.awaitSeated()
			a.kill()
			await(t, "it has a lifetime now", func() bool { return len(l.holders(theVIP)) == 0 })
		})
	})
}

func TestRestartWithinTheFenceLosesNothing(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a := l.node(11, apiserver)
		a.awaitSeated()
		time.Sleep(time.Minute)
		a.kill()
		a.start()
		a.awaitSeated()
		l.unbroken()
	})
}
