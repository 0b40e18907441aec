package agent

import (
	"slices"
	"testing"
	"time"

	"github.com/vipd/vipd/election/lease/leasetest"
)

// The names are the VIPs' places in the file, and the files have them in another
// order: each name has an owner, and no address two.
const (
	oneOrder   = `vips: [{name: vip1, addresses: [192.0.2.10], election: etcd}, {name: vip2, addresses: [192.0.2.20], election: etcd}]`
	otherOrder = `vips: [{name: vip1, addresses: [192.0.2.20], election: etcd}, {name: vip2, addresses: [192.0.2.10], election: etcd}]`
)

// mixed adds a host to a segment with two VIPs.
func (e *electorate) mixed(beside *leasetest.Store, last byte, file string) *voter {
	v := e.voter(last, file, true)
	v.way.beside = map[string]*leasetest.Client{"vip2": beside.Client()}
	return v
}

// both: a node has both VIPs, and no other one has either.
func (e *electorate) both(v *voter) bool {
	alone := []string{v.name}
	return slices.Equal(e.holders(theVIP), alone) && slices.Equal(e.holders("192.0.2.20"), alone)
}

// In a partition that etcd is not part of, nobody hears the other one's adverts.
func TestNamesInAnotherOrderMakeNoSecondOwner(t *testing.T) {
	leaseBubble(t, func(t *testing.T, e *electorate) {
		beside := e.etcd.Beside()
		a, b := e.mixed(beside, 11, oneOrder), e.mixed(beside, 12, otherOrder)
		a.way.beside["vip2"].Cut()
		b.way.Cut()
		e.split([]*node{a.node}, []*node{b.node})
		a.start()
		await(t, "the first node has its first VIP", func() bool { return slices.Equal(e.holders(theVIP), []string{"cp11"}) })
		b.start()
		const want = "the lease is not taken, because another VIP has the address: cp11 has 192.0.2.10 as vip1, here it is this one; give the VIP with the same addresses the same vips[].name on all nodes"
		await(t, "the other node tells why it does not take the second key", func() bool { return b.status("vip2").Election.Lease.Discord == want })
		time.Sleep(time.Minute)
		if got := e.holders(theVIP); !slices.Equal(got, []string{"cp11"}) {
			t.Errorf("held by %v", got)
		}
		a.way.beside["vip2"].Mend()
		await(t, "the first node has both", func() bool { return e.both(a) })
	})
}

func TestNodesThatMeanOtherAddressesTellIt(t *testing.T) {
	leaseBubble(t, func(t *testing.T, e *electorate) {
		beside := e.etcd.Beside()
		a, b := e.mixed(beside, 11, oneOrder), e.mixed(beside, 12, otherOrder)
		a.start()
		await(t, "the first node has both", func() bool { return e.both(a) })
		b.start()
		time.Sleep(time.Minute)
		const want = "cp11 owns this name with 192.0.2.10, here it has 192.0.2.20; give the VIP with the same addresses the same vips[].name on all nodes"
		if got := b.status("vip1").Election.Lease.Discord; got != want {
			t.Errorf("the status says %q, want %q", got, want)
		}
		if got := b.logged("the nodes do not mean the same VIP"); len(got) != 2 {
			t.Errorf("logged %q, want a line for each VIP", got)
		}
		if got := a.drain(DrainRequest{Timeout: 3 * time.Second}).result(); got != DrainNoSuccessor {
			t.Errorf("the drain ended with %s", got)
		}
		a.powerOff()
		await(t, "the other node has both when the leases are over", func() bool { return e.both(b) })
		a.process = nil
	})
}

// A reload adds an address, and another group's owner has it until then.
func TestAReloadHoldsANewAddressWhenItIsClaimed(t *testing.T) {
	leaseBubble(t, func(t *testing.T, e *electorate) {
		all := e.seat(byLease, 11, 12)
		for _, v := range all {
			v.mustReload(`vips: [{name: apiserver, addresses: [192.0.2.10, 192.0.2.20], election: etcd}]`)
			time.Sleep(time.Minute)
		}
		for _, addr := range []string{theVIP, "192.0.2.20"} {
			if got := e.holders(addr); !slices.Equal(got, []string{"cp11"}) {
				t.Errorf("%s is held by %v", addr, got)
			}
		}
		e.unbroken()
		all[0].tells("init -> backup: startup", "backup -> owner: lease-free")
		if got := all[0].drain(DrainRequest{}).result(); got != DrainDone {
			t.Errorf("the drain ended with %s", got)
		}
	})
}

// Adverts carry one family; the owner claims and holds both.
func TestBothFamiliesAreClaimed(t *testing.T) {
	leaseBubble(t, func(t *testing.T, e *electorate) {
		all := e.seat(`vips: [{name: apiserver, addresses: [192.0.2.10, "2001:db8::10"], election: etcd}]`, 11, 12)
		for _, vip := range []string{"192.0.2.10", "2001:db8::10"} {
			if got := e.holders(vip); !slices.Equal(got, []string{all[0].name}) {
				t.Errorf("%s is held by %v", vip, got)
			}
		}
	})
}
