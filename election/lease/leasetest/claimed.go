package leasetest

import (
	"net/netip"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vipd/vipd/election/lease"
)

func set(words ...string) lease.Addresses {
	all := make([]netip.Addr, len(words))
	for i, word := range words {
		all[i] = netip.MustParseAddr(word)
	}
	return lease.SetOf(all)
}

const oneAddress, otherAddress = "192.0.2.10", "2001:db8::10"

// elsewhere does something in the group beside.
func (c *contract) elsewhere(do func()) {
	c.way, c.beside = c.beside, c.way
	do()
	c.way, c.beside = c.beside, c.way
}

// takeWith takes the key with addresses, which were others before.
func (c *contract) takeWith(id lease.ID, seen int64, former, addresses lease.Addresses) lease.Answer {
	c.t.Helper()
	self := record("cp1")
	self.Addresses = addresses
	return c.call(lease.Order{Kind: lease.Take, Lease: id, Seen: seen, Owner: lease.Owner{Record: self, Term: 1}, Former: former})
}

// mayHave tells whether the group beside gets addresses.
func (c *contract) mayHave(addresses lease.Addresses) (a lease.Answer) {
	c.t.Helper()
	c.elsewhere(func() { a = c.takeWith(c.grant(), 0, "", addresses) })
	return a
}

func (c *contract) claimed() {
	if a := c.takeWith(c.grant(), 0, "", set(oneAddress)); !a.Done {
		c.t.Fatalf("%+v", a)
	}
	refused := c.mayHave(set(oneAddress, otherAddress))
	if refused.Done || refused.Owner.Lease != 0 || len(refused.Claims) != 1 {
		c.t.Fatalf("%+v", refused)
	}
	got := refused.Claims[0]
	if got.VIP = ""; got != (lease.Claim{Addr: netip.MustParseAddr(oneAddress), Node: "cp1"}) {
		c.t.Errorf("claimed by %+v", got)
	}
	c.elsewhere(func() {
		mine := c.takeWith(c.grant(), 0, "", set(otherAddress))
		if !mine.Done {
			c.t.Fatalf("%+v", mine)
		}
		to := c.candidate()
		to.Addresses = set(oneAddress)
		if a := c.pass(mine.Owner, to); a.Done || len(a.Claims) != 1 {
			c.t.Errorf("passed: %+v", a)
		}
	})
}

func (c *contract) reclaimed() {
	first := c.grant()
	former := c.takeWith(first, 0, "", set(oneAddress, otherAddress))
	next := c.candidate()
	next.Addresses = set(oneAddress, otherAddress)
	passed := c.pass(former.Owner, next)
	if !passed.Done || passed.Owner.Addresses != next.Addresses {
		c.t.Fatalf("%+v", passed)
	}
	// They are the next owner's: the end of the former one's lease ends none.
	c.call(lease.Order{Kind: lease.Leave, Lease: first})
	for _, word := range []string{oneAddress, otherAddress} {
		if a := c.mayHave(set(word)); a.Done {
			c.t.Errorf("%s was free after the former owner had left", word)
		}
	}
	c.call(lease.Order{Kind: lease.Leave, Lease: next.Lease})
	if a := c.mayHave(set(oneAddress, otherAddress)); !a.Done {
		c.t.Errorf("after the owner had left: %+v", a)
	}
}

func (c *contract) unclaimed() {
	id := c.grant()
	a := c.takeWith(id, 0, "", set(oneAddress))
	c.call(lease.Order{Kind: lease.Resign, Lease: id, Seen: a.Owner.Revision, Self: record("cp1"), Former: set(oneAddress)})
	if a := c.mayHave(set(oneAddress)); !a.Done {
		c.t.Errorf("%+v", a)
	}
}

func (c *contract) shrunk() {
	id := c.grant()
	before := c.takeWith(id, 0, "", set(oneAddress, otherAddress))
	after := c.takeWith(id, before.Owner.Revision, before.Owner.Addresses, set(otherAddress))
	want := before.Owner
	want.Addresses, want.Revision = set(otherAddress), after.Revision
	if diff := cmp.Diff(want, after.Owner, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		c.t.Errorf("the owner (-want +got):\n%s", diff)
	}
	if a := c.mayHave(set(otherAddress)); a.Done {
		c.t.Error("a claim that stays was free")
	}
	if a := c.mayHave(set(oneAddress)); !a.Done {
		c.t.Errorf("%+v", a)
	}
}
