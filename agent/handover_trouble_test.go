package agent

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// twoGroups is a configuration of two groups.
const twoGroups = `vips: [{name: apiserver, addresses: [192.0.2.10], health: []}, {name: other, addresses: [192.0.2.20], health: [], vrrp: {vrid: 77}}]`

// onLo tells whether the host has the VIP on lo.
func (n *node) onLo() bool {
	n.lan.mu.Lock()
	defer n.lan.mu.Unlock()
	return n.flows.onLo(netip.MustParseAddr(theVIP))
}

// passesTo are the nodes that the node passes on to.
func (n *node) passesTo() []string { return n.status("apiserver").Handover.ForwardingTo }

func TestADrainThatWaitsOutlivesItsSuccessor(t *testing.T) {
	carryBubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(quiet)
		l.dial(theVIP)
		d := a.drain(DrainRequest{WaitConnections: true, WaitLimit: 20 * time.Second})
		b.awaitSeated()
		time.Sleep(5 * time.Second)
		b.powerOff()
		if got := d.result(); got != DrainReset {
			t.Errorf("result %s", got)
		}
	})
}

func TestASecondDrainWaitsToo(t *testing.T) {
	carryBubble(t, func(t *testing.T, l *lan) {
		a, _ := l.pair(quiet)
		c := l.dial(theVIP)
		a.drain(DrainRequest{}).result()
		if got := a.drain(DrainRequest{WaitConnections: true, WaitLimit: 20 * time.Second}).result(); got != DrainReset {
			t.Errorf("result %s", got)
		}
		if c.fate() == "" {
			t.Error("the connection is open")
		}
	})
}

func TestAReloadEndsWhatCannotBeCarriedOn(t *testing.T) {
	rows := []struct{ name, file string }{
		{"the group is gone", `vips: [{name: other, addresses: [192.0.2.20], health: [], vrrp: {vrid: 77}}]`},
		{"the group is another one", `vips: [{name: apiserver, addresses: [192.0.2.10], health: [], vrrp: {vrid: 99}}, {name: other, addresses: [192.0.2.20], health: [], vrrp: {vrid: 77}}]`},
		{"nothing is to be preserved", `vips: [{name: apiserver, addresses: [192.0.2.10], health: [], handover: {preserve: false}}, {name: other, addresses: [192.0.2.20], health: [], vrrp: {vrid: 77}}]`},
		{"the port is another", `vips: [{name: apiserver, addresses: [192.0.2.10], health: [], port: 443}, {name: other, addresses: [192.0.2.20], health: [], vrrp: {vrid: 77}}]`},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			carryBubble(t, func(t *testing.T, l *lan) {
				a, b := l.pair(twoGroups)
				c, other := l.dial(theVIP), l.dial("192.0.2.20")
				a.move(b)
				a.mustReload(row.file)
				time.Sleep(30 * time.Second)
				if a.onLo() {
					t.Error("the shadow stands")
				}
				if c.fate() == "" {
					t.Error("the connection is neither carried nor reset")
				}
				other.alive(t)
				if len(a.logged("refuses the rules")) > 0 {
					t.Error("the kernel refuses the rules")
				}
			})
		})
	}
}

func TestANewGraceCountsForAShadow(t *testing.T) {
	carryBubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(quiet)
		c := l.dial(theVIP)
		a.move(b)
		a.mustReload(`vips: [{name: apiserver, addresses: [192.0.2.10], health: [], handover: {grace: 30s}}]`)
		time.Sleep(40 * time.Second)
		if c.fate() == "" {
			t.Error("the connection is open")
		}
	})
}

func TestAFirewallThatWasMendedIsForgotten(t *testing.T) {
	carryBubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(quiet)
		b.set(func(h *host) { h.flows.filtered = true })
		c := l.dial(theVIP)
		a.move(b)
		await(t, "the connection is reset", func() bool { return c.fate() != "" })
		b.set(func(h *host) { h.flows.filtered = false })
		b.mustReload(quiet)
		if got := b.status("apiserver").Handover; !got.Supported {
			t.Errorf("handover %+v", got)
		}
		time.Sleep(time.Minute)
		b.move(a)
		time.Sleep(time.Minute)
		d := l.dial(theVIP)
		a.move(b)
		time.Sleep(10 * time.Second)
		d.alive(t)
	})
}

func TestOneBlockedAddressIsNoticedBesideOneThatIsNot(t *testing.T) {
	var v4, v6 passage
	now := time.Now()
	blocked4, blocked6 := false, false
	for i := range uint64(5) {
		_, one := v4.note(now, Passed{On: 100 * i})
		_, two := v6.note(now, Passed{On: i, Left: i})
		blocked4, blocked6 = blocked4 || one, blocked6 || two
		now = now.Add(blockedAfter)
	}
	if !blocked4 || blocked6 {
		t.Errorf("blocked: %v and %v", blocked4, blocked6)
	}
}

// An owner that cannot find a successor sends zeros while it serves on.
func TestAnOwnerThatWantsToLeaveGoesOnPassingOn(t *testing.T) {
	carryBubble(t, func(t *testing.T, l *lan) {
		a, b, third := l.three(apiserver)
		c := l.dial(theVIP)
		third.drain(DrainRequest{}).result()
		a.move(b)
		time.Sleep(5 * time.Second)
		a.die()
		third.powerOff()
		time.Sleep(5 * time.Second)
		if got := b.drain(DrainRequest{Timeout: 20 * time.Second}).result(); got != DrainNoSuccessor {
			t.Errorf("result %s", got)
		}
		c.alive(t)
	})
}

func TestHellosLostAtTheMoveCostNothing(t *testing.T) {
	carryBubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(quiet)
		c := l.dial(theVIP)
		hide := func(hidden func(from, to *host) bool) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.hidden = hidden
		}
		hide(func(from, _ *host) bool { return from == a.host })
		d := a.drain(DrainRequest{})
		b.awaitSeated()
		time.Sleep(900 * time.Millisecond)
		hide(nil)
		if got := d.result(); got != DrainDone {
			t.Errorf("result %s", got)
		}
		time.Sleep(5 * time.Second)
		c.alive(t)
	})
}

func TestAShadowThatEndsAndOwnsAgainPassesOn(t *testing.T) {
	carryBubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(quiet)
		c := l.dial(theVIP)
		a.move(b)
		time.Sleep(5 * time.Second)
		d := l.dial(theVIP)
		a.set(func(h *host) { h.flows.busy = 100 * time.Millisecond })
		c.hangUp()
		await(t, "the shadow ends", func() bool {
			ends := false
			if err := a.process.agent.ask(t.Context(), func() { ends = a.process.agent.groups[0].shadow.cause != "" }); err != nil {
				t.Fatal(err)
			}
			return ends
		})
		b.move(a)
		time.Sleep(5 * time.Second)
		d.alive(t)
	})
}

func TestAnEndThatComesTooLateSparesTheNewConnectionsOfAnOwner(t *testing.T) {
	carryBubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(`vips: [{name: apiserver, addresses: [192.0.2.10], health: [], handover: {grace: 5s}}]`)
		l.dial(theVIP)
		a.move(b)
		time.Sleep(6500 * time.Millisecond) // in the wait for idle moments
		a.set(func(h *host) { h.flows.busy = 3 * time.Second })
		time.Sleep(700 * time.Millisecond)
		b.move(a)
		d := l.dial(theVIP)
		time.Sleep(20 * time.Second)
		a.set(func(h *host) { h.flows.busy = 0 })
		d.alive(t)
	})
}

func TestAFlapOfTheLinkEndsNoConnection(t *testing.T) {
	flap := func(n *node) {
		n.carrier("eth0", false)
		time.Sleep(500 * time.Millisecond)
		n.carrier("eth0", true)
	}
	t.Run("of a shadow", func(t *testing.T) {
		carryBubble(t, func(t *testing.T, l *lan) {
			a, b := l.pair(quiet)
			c := l.dial(theVIP)
			a.move(b)
			time.Sleep(5 * time.Second)
			flap(a)
			await(t, "cp12 passes on again", func() bool { return slices.Equal(b.passesTo(), []string{"cp11"}) })
			time.Sleep(time.Minute)
			c.alive(t)
		})
	})
	t.Run("of the owner, which is replaced meanwhile", func(t *testing.T) {
		carryBubble(t, func(t *testing.T, l *lan) {
			a, b := l.pair(quiet)
			flap(a)
			b.awaitSeated()
			a.awaitAt(StateHandover)
			await(t, "cp12 passes on", func() bool { return slices.Equal(b.passesTo(), []string{"cp11"}) })
		})
	})
}

// Both groups of an unhealthy node move although the kernel of the successor is
// busy with others' rules.
func TestABusyKernelHoldsUpAllGroupsOnce(t *testing.T) {
	carryBubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(`vips: [{name: apiserver, addresses: [192.0.2.10]}, {name: other, addresses: [192.0.2.20], vrrp: {vrid: 77}}]`)
		b.set(func(h *host) { h.flows.busy = time.Minute })
		a.die()
		await(t, "both move", func() bool {
			return b.status("apiserver").State == StateOwner && b.status("other").State == StateOwner
		})
		if undone := b.logged("could not be taken over"); len(undone) > 0 {
			t.Error(undone)
		}
		b.set(func(h *host) { h.flows.busy = 0 })
	})
}

// The API server of a killed daemon goes on, and so do its connections.
func TestAKilledOwnerThatIsStartedAgainCarriesOn(t *testing.T) {
	carryBubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(quiet)
		a.kill()
		b.awaitSeated()
		a.start()
		a.awaitAt(StateHandover)
		await(t, "cp12 passes on", func() bool { return slices.Equal(b.passesTo(), []string{"cp11"}) })
		a.awaitAt(StateBackup)
		want := []string{"init -> backup: startup", "backup -> handover: startup", "handover -> backup: handover-ended"}
		if diff := cmp.Diff(want, a.story("apiserver")); diff != "" {
			t.Errorf("story (-want +got):\n%s", diff)
		}
	})
}

func TestWhatAnEarlierLifeLeftAndNobodyCarriesIsRemoved(t *testing.T) {
	carryBubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(quiet)
		c := l.dial(theVIP)
		a.terminate()
		b.awaitSeated()
		a.set(func(*host) {
			a.file = `vips: [{name: apiserver, addresses: [192.0.2.10], health: [], handover: {preserve: false}}]`
		})
		a.start()
		a.awaitReady()
		await(t, "the shadow is gone", func() bool { return !a.onLo() })
		if c.fate() == "" {
			t.Error("the connection is neither carried nor reset")
		}
	})
}

func TestARestartInTheGraceKeepsTheChain(t *testing.T) {
	carryBubble(t, func(t *testing.T, l *lan) {
		a, b, c := l.three(quiet)
		first := l.dial(theVIP)
		c.drain(DrainRequest{}).result()
		a.move(b)
		time.Sleep(5 * time.Second)
		second := l.dial(theVIP)
		if err := c.process.agent.Undrain(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		a.drain(DrainRequest{}).result()
		b.terminate()
		if !c.seated() {
			t.Fatal("cp13 does not own")
		}
		time.Sleep(30 * time.Second)
		b.start()
		time.Sleep(time.Minute)
		first.alive(t)
		second.alive(t)
	})
}

func TestAShadowPassesOnToTheOneThatHadFallenSilentBeforeIt(t *testing.T) {
	carryBubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(quiet)
		a.kill()
		b.awaitSeated()
		a.start()
		a.awaitAt(StateBackup)
		c := l.dial(theVIP)
		b.move(a)
		time.Sleep(2 * time.Second)
		c.alive(t)
		l.mu.Lock()
		defer l.mu.Unlock()
		r := b.flows.rules[netip.MustParseAddr(theVIP)]
		if r == nil || !r.Shadow || l.at(r.Owner) != a.host {
			t.Errorf("what is the owner's goes by %+v, not to %s", r, a.name)
		}
	})
}
