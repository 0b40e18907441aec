package agent

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/election"
)

func TestFaultsReleaseAtOnceAndHeal(t *testing.T) {
	tracking := `vips: [{name: apiserver, addresses: [192.0.2.10], interface: eth0, track_interfaces: [eth1]}]`
	rows := []struct {
		name        string
		file        string
		strike, end func(*node)
		reason      election.Reason
	}{
		{
			"the cable is cut", apiserver,
			func(n *node) { n.carrier("eth0", false) },
			func(n *node) { n.carrier("eth0", true) }, "no-carrier",
		},
		{
			"the interface is removed and made anew", apiserver,
			func(n *node) { n.unplug("eth0") },
			func(n *node) { n.plug("eth0") }, "no-interface",
		},
		{
			"the node's own address is removed", `vips: [{name: apiserver, interface: eth0, addresses: [192.0.2.10]}]`,
			func(n *node) { n.remove("eth0", "192.0.2.11/24") },
			func(n *node) { n.configure("eth0", "192.0.2.11/24") }, "no-address",
		},
		{
			"the subnet of the VIP is removed, and no interface is named", apiserver,
			func(n *node) { n.remove("eth0", "192.0.2.11/24") },
			func(n *node) { n.configure("eth0", "192.0.2.11/24") }, "no-interface",
		},
		{
			"a tracked interface loses its link", tracking,
			func(n *node) { n.carrier("eth1", false) },
			func(n *node) { n.carrier("eth1", true) }, "tracked-interface",
		},
		{
			"a tracked interface is removed", tracking,
			func(n *node) { n.unplug("eth1") },
			func(n *node) { n.plug("eth1") }, "tracked-interface",
		},
		{
			"the VIP is configured as the node's own address", apiserver,
			func(n *node) { n.configure("eth0", "192.0.2.10/24") },
			func(n *node) { n.remove("eth0", "192.0.2.10/24") }, "address-conflict",
		},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, l *lan) {
				a, b := l.bare(11, row.file), l.bare(12, row.file)
				for _, n := range []*node{a, b} {
					n.plug("eth1")
					n.remove("eth1", n.own()[0].String())
				}
				a.start()
				a.awaitSeated()
				b.start()
				b.awaitReady()
				row.strike(a)
				synctest.Wait()
				if s := a.status("apiserver"); s.State != StateFault || s.Reason != row.reason {
					t.Errorf("state %s with reason %s (%s), want fault with %s", s.State, s.Reason, s.Detail, row.reason)
				}
				b.awaitSeated()
				row.end(a)
				a.awaitReady()
				if !b.seated() {
					t.Error("the node that came back took the VIP")
				}
				a.tells(
					"init -> backup: startup", "backup -> owner: nobody-heard",
					tale(StateOwner, StateFault, row.reason), "fault -> backup: startup",
				)
				b.powerOff()
				a.awaitSeated()
			})
		})
	}
}

func TestOwnerWhoseTrackedInterfaceFailsResignsAloud(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		const file = `vips: [{name: apiserver, addresses: [192.0.2.10], interface: eth0, track_interfaces: [eth1]}]`
		a, b := l.bare(11, file), l.bare(12, file)
		for _, n := range []*node{a, b} {
			n.plug("eth1")
		}
		a.start()
		a.awaitSeated()
		b.start()
		b.awaitReady()
		a.carrier("eth1", false)
		b.awaitSeated()
		b.tells("init -> backup: startup", "backup -> owner: owner-resigned")
	})
}

func TestNodeWithoutItsInterfaceWaitsForIt(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a := l.bare(11, `vips: [{name: apiserver, addresses: [192.0.2.10], interface: eth5}]`)
		a.start()
		a.awaitAt(StateFault)
		time.Sleep(time.Minute)
		a.unplug("eth0")
		a.plug("eth5")
		a.awaitSeated()
		a.tells("init -> fault: no-interface", "fault -> backup: startup", "backup -> owner: nobody-heard")
	})
}

func TestAReasonThatChangesDuringAFaultIsTold(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a := l.node(11, `vips: [{name: apiserver, addresses: [192.0.2.10], interface: eth0}]`)
		a.awaitSeated()
		a.carrier("eth0", false)
		a.awaitAt(StateFault)
		a.unplug("eth0")
		a.tells(
			"init -> backup: startup", "backup -> owner: nobody-heard",
			"owner -> fault: no-carrier", "fault -> fault: no-interface",
		)
	})
}

// The index tells an interface that was made anew, even if nobody said that the
// former one went. All groups must leave the former one's sockets.
func TestGroupsOfAnInterfaceThatWasReplacedHearAgain(t *testing.T) {
	const file = `vips: [
  {name: apiserver, addresses: [192.0.2.10]},
  {name: ingress, addresses: [192.0.2.20]},
  {name: six, addresses: ["2001:db8::aaaa"], interface: eth0},
]`
	names := []string{"apiserver", "ingress", "six"}
	bubble(t, func(t *testing.T, l *lan) {
		a, b := l.node(11, file), l.bare(12, file)
		for _, name := range names {
			await(t, "the owner", func() bool { return a.status(name).State == StateOwner })
		}
		b.start()
		await(t, "the backup is ready", func() bool { return b.status("six").Owner != "" })
		b.replace("eth0")
		for _, name := range names {
			await(t, name+" hears its owner", func() bool { return b.status(name).Owner != "" })
		}
		time.Sleep(time.Minute)
		for _, name := range names {
			if got := b.status(name).State; got != StateBackup {
				t.Errorf("%s is at %s", name, got)
			}
			if diff := cmp.Diff([]string{"init -> backup: startup"}, b.story(name)); diff != "" {
				t.Errorf("story of %s (-want +got):\n%s", name, diff)
			}
		}
	})
}

func TestSocketThatCannotBeOpenedIsTriedAgain(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a := l.bare(11, apiserver)
		a.set(func(h *host) { h.deaf = errors.New("too many open files") })
		a.start()
		time.Sleep(time.Minute)
		a.tells("init -> fault: no-interface")
		a.set(func(h *host) { h.deaf = nil })
		a.awaitSeated()
	})
}

func TestAdvertsThatCannotBeSentLeaveTheVIPToAnother(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(apiserver)
		a.set(func(h *host) { h.muted = errors.New("network is unreachable") })
		b.awaitSeated()
		a.awaitAt(StateBackup)
		a.set(func(h *host) { h.muted = nil })
		time.Sleep(time.Minute)
		if !b.seated() {
			t.Error("the VIP came back")
		}
	})
}

// Groups find their interface by the subnet; two of them may find the same, with
// the same VRID.
func TestTwoGroupsWithOneVRIDOnOneInterface(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a := l.node(11, `vips: [
  {name: apiserver, addresses: [192.0.2.10], interface: eth0},
  {name: ingress, addresses: [192.0.2.20], vrrp: {vrid: 10}},
]`)
		a.awaitSeated()
		time.Sleep(time.Minute)
		if s := a.status("ingress"); s.State != StateFault {
			t.Errorf("the second group is at %s", s.State)
		}
		if !a.seated() {
			t.Error("the first group lost its VIP")
		}
	})
}

func TestInterfaceFlapsWhileDraining(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a := l.node(11, apiserver)
		a.awaitSeated()
		drain := a.drain(DrainRequest{})
		time.Sleep(100 * time.Millisecond)
		a.carrier("eth0", false)
		time.Sleep(100 * time.Millisecond)
		a.carrier("eth0", true)
		if got := drain.result(); got != DrainNoSuccessor {
			t.Errorf("result %s", got)
		}
		a.awaitSeated()
	})
}
