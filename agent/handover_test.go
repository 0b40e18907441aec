package agent

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/health/counter"
)

// carryBubble runs a story among hosts whose kernels can carry connections.
func carryBubble(t *testing.T, story func(t *testing.T, l *lan)) {
	t.Helper()
	helloBubble(t, func(t *testing.T, l *lan) {
		l.able = everything
		story(t, l)
	})
}

// quiet is the configuration without health checks.
const quiet = `vips: [{name: apiserver, addresses: [192.0.2.10], health: []}]`

// move drains a node, waits until another owns, and lets it own again.
func (n *node) move(to *node) {
	n.t.Helper()
	if got := n.drain(DrainRequest{}).result(); got != DrainDone {
		n.t.Fatalf("drain of %s: %s", n.name, got)
	}
	if !to.seated() {
		n.t.Fatalf("%s did not succeed %s", to.name, n.name)
	}
	if err := n.process.agent.Undrain(n.t.Context(), ""); err != nil {
		n.t.Fatal(err)
	}
}

func TestADrainKeepsOpenConnections(t *testing.T) {
	carryBubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(apiserver)
		c := l.dial(theVIP)
		began := time.Now()
		if got := a.drain(DrainRequest{}).result(); got != DrainDone {
			t.Fatalf("result %s", got)
		}
		a.awaitAt(StateHandover)
		l.saw(began,
			"cp11 adverts 1",
			"cp12 has other rules",
			"cp12 gets 192.0.2.10",
			"cp12 announces 192.0.2.10",
			"cp12 adverts 200",
			"cp11 shadows 192.0.2.10",
			"cp11 has other rules",
			"cp11 loses 192.0.2.10",
		)
		time.Sleep(9 * time.Minute)
		c.alive(t)
		if got := a.status("apiserver").Handover; !got.Shadow || got.Connections != 1 {
			t.Errorf("handover of the former owner: %+v", got)
		}
		if got := b.status("apiserver").Handover; !slices.Equal(got.ForwardingTo, []string{"cp11"}) {
			t.Errorf("handover of the owner: %+v", got)
		}
		c.hangUp()
		a.awaitAt(StateDrained)
		a.tells("init -> backup: startup", "backup -> owner: nobody-heard", "owner -> handover: drain", "handover -> drained: handover-ended")
		await(t, "cp12 passes nothing on", func() bool { return len(b.status("apiserver").Handover.ForwardingTo) == 0 })
		l.unbroken()
	})
}

func TestGraceEndsWhatIsLeft(t *testing.T) {
	carryBubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(`vips: [{name: apiserver, addresses: [192.0.2.10], handover: {grace: 1m}}]`)
		c := l.dial(theVIP)
		a.move(b)
		time.Sleep(time.Minute - time.Second)
		c.alive(t)
		a.awaitAt(StateBackup)
		if got := c.fate(); got != "reset by its server" {
			t.Errorf("the connection: %q", got)
		}
		h := a.process.agent.History()
		if got, want := h[len(h)-1].Detail, "of 1 connections that were carried 0 ended by themselves; 1 were reset: handover.grace is over"; got != want {
			t.Errorf("detail %q, want %q", got, want)
		}
		want := map[EndCause]uint64{EndGrace: 1}
		if diff := cmp.Diff(want, *a.status("apiserver").Counters.ConnectionsReset.Load()); diff != "" {
			t.Errorf("resets (-want +got):\n%s", diff)
		}
	})
}

// Connections are opened at each owner, and live through moves in any order.
func TestChainsKeepEveryConnection(t *testing.T) {
	rows := []struct {
		name  string
		moves string
	}{
		{"there and back", "ba"},
		{"round three nodes and on", "bcac"},
		{"back to the one before, with a third behind", "bcbcab"},
		{"in any order among five", "cbeadbceda"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			carryBubble(t, func(t *testing.T, l *lan) {
				a, b := l.pair(quiet)
				nodes := map[rune]*node{'a': a, 'b': b, 'c': l.node(13, quiet), 'd': l.node(14, quiet), 'e': l.node(15, quiet)}
				l.awaitAcquainted(a, b, nodes['c'], nodes['d'], nodes['e'])
				all := []*connection{l.dial(theVIP)}
				owner := a
				for _, to := range row.moves {
					next := nodes[to]
					drained := []*node{}
					for _, n := range nodes {
						if n != next && n != owner {
							n.drain(DrainRequest{}).result()
							drained = append(drained, n)
						}
					}
					owner.move(next)
					for _, n := range drained {
						if err := n.process.agent.Undrain(t.Context(), ""); err != nil {
							t.Fatal(err)
						}
					}
					owner = next
					all = append(all, l.dial(theVIP))
					time.Sleep(2 * time.Second)
				}
				for _, c := range all {
					c.alive(t)
				}
				l.unbroken()
			})
		})
	}
}

func TestADeadNodeInTheChainIsBypassed(t *testing.T) {
	carryBubble(t, func(t *testing.T, l *lan) {
		a, b, c := l.three(quiet)
		first := l.dial(theVIP)
		c.drain(DrainRequest{}).result()
		a.move(b)
		time.Sleep(time.Second)
		a.drain(DrainRequest{}).result()
		if err := c.process.agent.Undrain(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		await(t, "cp12 knows that cp13 may own", func() bool { return !b.sees("cp13").VIPs[0].Drained })
		second := l.dial(theVIP)
		b.move(c)
		time.Sleep(10 * time.Second)
		first.alive(t)
		second.alive(t)
		b.powerOff()
		await(t, "cp13 passes on to cp11", func() bool { return slices.Equal(c.status("apiserver").Handover.ForwardingTo, []string{"cp11"}) })
		time.Sleep(time.Minute)
		first.alive(t)
	})
}

func TestAPredecessorThatDiesIsNotPassedOnTo(t *testing.T) {
	carryBubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(quiet)
		c := l.dial(theVIP)
		a.move(b)
		time.Sleep(10 * time.Second)
		c.alive(t)
		a.powerOff()
		await(t, "cp12 resets", func() bool { return c.fate() == "reset by cp12" })
	})
}

func TestAHungServerKeepsNoConnection(t *testing.T) {
	hung := counter.Result{Ready: counter.Timeout, Live: counter.Timeout, Reason: "timeout"}
	carryBubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(apiserver)
		c := l.dial(theVIP)
		a.move(b)
		time.Sleep(10 * time.Second)
		c.alive(t)
		a.ail("apiserver", hung)
		a.ail("apiserver", hung)
		a.awaitAt(StateBackup)
		if got := c.fate(); got != "reset by its server" {
			t.Errorf("the connection: %q", got)
		}
		a.tells("init -> backup: startup", "backup -> owner: nobody-heard", "owner -> handover: drain", "handover -> backup: handover-ended")
	})
}

func TestAServerThatHangsInOfficeKeepsNoConnection(t *testing.T) {
	hung := counter.Result{Ready: counter.Timeout, Live: counter.Timeout, Reason: "timeout"}
	carryBubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(apiserver)
		c := l.dial(theVIP)
		a.ail("apiserver", hung)
		a.ail("apiserver", hung)
		b.awaitSeated()
		a.awaitAt(StateBackup)
		if got := c.fate(); got != "reset by its server" {
			t.Errorf("the connection: %q", got)
		}
		a.tells("init -> backup: startup", "backup -> owner: nobody-heard", "owner -> handover: unhealthy", "handover -> backup: handover-ended")
	})
}

func TestAServerThatStopsGracefullyKeepsItsConnections(t *testing.T) {
	carryBubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(apiserver)
		c := l.dial(theVIP)
		a.die()
		b.awaitSeated()
		time.Sleep(9 * time.Minute)
		c.alive(t)
	})
}

// A neighbour without hellos passes nothing on, so clients are told.
func TestAStrangerAsSuccessorEndsTheHandover(t *testing.T) {
	carryBubble(t, func(t *testing.T, l *lan) {
		l.hush()
		a, b := l.pair(quiet)
		c := l.dial(theVIP)
		a.move(b)
		a.awaitAt(StateBackup)
		if got := c.fate(); got == "" {
			t.Error("the connection is open and nobody carries it")
		}
		a.tells("init -> backup: startup", "backup -> owner: nobody-heard", "owner -> handover: drain", "handover -> backup: handover-ended")
	})
}

func TestARestartedDaemonCarriesOn(t *testing.T) {
	carryBubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(quiet)
		c := l.dial(theVIP)
		a.terminate()
		if !b.seated() {
			t.Fatal("cp12 did not succeed")
		}
		time.Sleep(time.Minute)
		c.alive(t)
		a.start()
		a.awaitAt(StateHandover)
		time.Sleep(time.Minute)
		c.alive(t)
		b.move(a)
		c.alive(t)
		if !a.seated() {
			t.Error("cp11 does not own again")
		}
		l.unbroken()
	})
}

func TestAStoppedDaemonLeavesNothingAfterTheGrace(t *testing.T) {
	carryBubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(quiet)
		c := l.dial(theVIP)
		a.terminate()
		time.Sleep(10*time.Minute + 5*time.Second)
		l.mu.Lock()
		if a.flows.onLo(c.to) {
			t.Error("the shadow stands")
		}
		l.mu.Unlock()
		if !b.seated() {
			t.Error("cp12 does not own")
		}
		a.process = nil
	})
}

// The client is on the side of the owner that yields.
func TestAHealedPartitionKeepsConnections(t *testing.T) {
	carryBubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(quiet)
		first := l.dial(theVIP)
		l.split([]*node{a}, []*node{b})
		b.awaitSeated()
		time.Sleep(time.Minute)
		second := l.dial(theVIP)
		l.heal()
		a.awaitAt(StateHandover)
		if l.reaches(theVIP) != "cp12" {
			t.Errorf("the client reaches %q", l.reaches(theVIP))
		}
		time.Sleep(5 * time.Minute)
		first.alive(t)
		second.alive(t)
		l.unbroken()
	})
}

func TestALateOwnerIsMuteWhileItListens(t *testing.T) {
	carryBubble(t, func(t *testing.T, l *lan) {
		a := l.node(11, quiet)
		a.awaitSeated()
		time.Sleep(time.Minute)
		c := l.dial(theVIP)
		began := time.Now()
		a.freeze()
		time.Sleep(time.Second)
		a.thaw()
		time.Sleep(time.Second)
		c.alive(t)
		if !a.seated() {
			t.Error("cp11 does not own")
		}
		got := l.since(began, func(h happening) bool { return h.what != "adverts 200" && h.what != "adverts 128" })
		want := []string{
			"cp11 shadows 192.0.2.10", "cp11 has other rules", "cp11 loses 192.0.2.10",
			"cp11 has other rules", "cp11 gets 192.0.2.10", "cp11 announces 192.0.2.10", "cp11 ends its shadow of 192.0.2.10",
		}
		if diff := cmp.Diff(want, got[:min(len(got), len(want))]); diff != "" {
			t.Errorf("what happened (-want +got):\n%s", diff)
		}
		l.unbroken()
	})
}

func TestALateOwnerThatWasReplacedCarriesItsConnections(t *testing.T) {
	carryBubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(quiet)
		a.freeze()
		b.awaitSeated()
		second := l.dial(theVIP)
		time.Sleep(time.Second)
		a.thaw()
		a.awaitAt(StateHandover)
		await(t, "cp12 passes on to cp11", func() bool { return slices.Equal(b.status("apiserver").Handover.ForwardingTo, []string{"cp11"}) })
		second.alive(t)
		if !b.seated() || a.seated() {
			t.Error("the VIP moved once more")
		}
	})
}

// The kernel has taken the VIP off an owner that was frozen for longer than the fence.
// It comes to lo when the rules are there, so that nothing new is taken.
func TestALateOwnerWithoutItsVIPTakesNothingNew(t *testing.T) {
	carryBubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(quiet)
		a.freeze()
		b.awaitSeated()
		time.Sleep(10 * time.Second)
		thawed := time.Now()
		a.thaw()
		await(t, "it carries what is open", func() (on bool) {
			a.set(func(h *host) { on = h.flows.onLo(netip.MustParseAddr(theVIP)) })
			return on
		})
		got := l.since(thawed, func(h happening) bool { return h.who == "cp11" && !strings.Contains(h.what, "adverts") })
		if want := []string{"cp11 has other rules", "cp11 shadows 192.0.2.10"}; !slices.Equal(got[:min(len(got), len(want))], want) {
			t.Errorf("%v", got)
		}
	})
}

// Nor is it on lo before there is anybody to pass on to what is new.
func TestALateOwnerWithoutItsVIPIsNoShadowOfNobody(t *testing.T) {
	carryBubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(quiet)
		l.split([]*node{a}, []*node{b})
		a.freeze()
		time.Sleep(10 * time.Second)
		thawed := time.Now()
		a.thaw()
		await(t, "it has the VIP again", func() bool { return slices.Contains(l.holders(theVIP), "cp11") })
		got := l.since(thawed, func(h happening) bool { return h.who == "cp11" && strings.Contains(h.what, "shadow") })
		if len(got) > 0 {
			t.Errorf("%v", got)
		}
	})
}

func TestAFirewallThatDropsWhatIsPassedOnIsNoticed(t *testing.T) {
	carryBubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(quiet)
		b.set(func(h *host) { h.flows.filtered = true })
		c := l.dial(theVIP)
		a.move(b)
		await(t, "the connection is reset", func() bool { return c.fate() != "" })
		got := b.status("apiserver").Handover
		if got.Supported || got.Reason == "" {
			t.Errorf("handover %+v", got)
		}
		if len(b.logged("accept 6443")) != 1 {
			t.Error("the log does not tell once which rule to add")
		}
	})
}

func TestRulesThatAreRefusedHoldUpNoMove(t *testing.T) {
	rows := []struct {
		name  string
		spoil func(*host)
	}{
		{"the kernel refuses", func(h *host) { h.flows.refusing = errLate }},
		{"the kernel is busy", func(h *host) { h.flows.busy = time.Minute }},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			carryBubble(t, func(t *testing.T, l *lan) {
				a, b := l.pair(quiet)
				b.set(row.spoil)
				a.move(b)
				time.Sleep(time.Minute)
				if l.reaches(theVIP) != "cp12" {
					t.Errorf("the client reaches %q", l.reaches(theVIP))
				}
				l.unbroken()
				b.set(func(h *host) { h.flows.refusing, h.flows.busy = nil, 0 })
				synctest.Wait()
			})
		})
	}
}

func TestAGroupThatPreservesNothingTellsItsClients(t *testing.T) {
	carryBubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(`vips: [{name: apiserver, addresses: [192.0.2.10], health: [], handover: {preserve: false}}]`)
		c := l.dial(theVIP)
		a.move(b)
		if got := c.fate(); got == "" {
			t.Error("the connection is open")
		}
		a.tells("init -> backup: startup", "backup -> owner: nobody-heard", "owner -> drained: drain", "drained -> backup: undrain")
		if got := a.status("apiserver").Handover; got.Supported || got.Reason != "handover.preserve is false" {
			t.Errorf("handover %+v", got)
		}
	})
}

func TestADrainWaitsForConnections(t *testing.T) {
	rows := []struct {
		name    string
		request DrainRequest
		hangsUp bool
		want    DrainResult
		fate    string
	}{
		{"the client hangs up", DrainRequest{WaitConnections: true}, true, DrainDone, "closed by the client"},
		{"the client stays longer than is waited", DrainRequest{WaitConnections: true, WaitLimit: 20 * time.Second}, false, DrainReset, "reset by its server"},
		{"nobody waits", DrainRequest{}, false, DrainDone, ""},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			carryBubble(t, func(t *testing.T, l *lan) {
				a, b := l.pair(quiet)
				c := l.dial(theVIP)
				d := a.drain(row.request)
				b.awaitSeated()
				time.Sleep(10 * time.Second)
				select {
				case <-d.ended:
					if row.request.WaitConnections {
						t.Error("the drain did not wait")
					}
				default:
				}
				c.alive(t)
				if row.hangsUp {
					c.hangUp()
				}
				if got := d.result(); got != row.want {
					t.Errorf("result %s, want %s", got, row.want)
				}
				if got := c.fate(); got != row.fate {
					t.Errorf("the connection: %q, want %q", got, row.fate)
				}
			})
		})
	}
}

func TestADrainWantsProofOfTheSuccessor(t *testing.T) {
	carryBubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(apiserver)
		b.set(func(h *host) { h.closed = true })
		c := l.dial(theVIP)
		d := a.drain(DrainRequest{Timeout: 10 * time.Second})
		if got := d.result(); got != DrainNoSuccessor {
			t.Errorf("result %s", got)
		}
		d.told(
			"apiserver: draining; serving on until a successor is heard",
			"apiserver: cp12 (192.0.2.12) is asked to take over",
			"apiserver: the new owner is not proven to serve: nothing listens at 192.0.2.10:6443 on the new owner",
			"apiserver: another node took the VIP over, but is not proven to serve: nothing listens at 192.0.2.10:6443 on the new owner; this node does not hold the VIP and may take it again",
		)
		c.alive(t)
		b.set(func(h *host) { h.closed = false })
		if got := a.drain(DrainRequest{}).result(); got != DrainDone {
			t.Errorf("result %s when the server listens", got)
		}
	})
}

// A stop does not wait for a successor when all the others say that they cannot.
func TestAStopWithoutAnybodyEndsAtOnce(t *testing.T) {
	carryBubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(apiserver)
		if got := b.drain(DrainRequest{}).result(); got != DrainDone {
			t.Fatalf("result %s", got)
		}
		time.Sleep(10 * time.Second)
		began := time.Now()
		a.terminate()
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		if got := l.holders(theVIP); len(got) != 1 {
			t.Errorf("held by %v; the fence keeps it for a while", got)
		}
		a.process = nil
	})
}
