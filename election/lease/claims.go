package lease

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// A group is known by its name, and what has to have one owner is an address. Where
// nodes give the names in another order, two groups have one address, and each has
// an owner of its own. So the owner claims its addresses in the transaction in which
// it takes the key, or gets it: that fails if one of them is claimed for another
// group. Claims are bound to the owner's lease. A node alone could decide nothing
// here: what candidates say of their addresses, and what a free key's last owner
// had, tells nothing of the owner that another key has at that moment.
//
// What nodes say of their addresses decides less: whom the key is passed to, and
// that an operator is told.

// Addresses is a set of addresses in a form in which sets can be compared. Empty: it
// is not said.
type Addresses string

// SetOf is the set of addresses.
func SetOf(all []netip.Addr) Addresses {
	words := make([]string, len(all))
	for i, a := range slices.SortedFunc(slices.Values(all), netip.Addr.Compare) {
		words[i] = a.String()
	}
	return Addresses(strings.Join(words, " "))
}

// List is the set's addresses, in ascending order.
func (s Addresses) List() []netip.Addr {
	words := strings.Fields(string(s))
	all := make([]netip.Addr, 0, len(words))
	for _, word := range words {
		if a, err := netip.ParseAddr(word); err == nil {
			all = append(all, a)
		}
	}
	return all
}

// Without is the addresses that are not in another set.
func (s Addresses) Without(other Addresses) []netip.Addr {
	has := other.List()
	return slices.DeleteFunc(s.List(), func(a netip.Addr) bool { return slices.Contains(has, a) })
}

// Agrees tells whether two sets are the same, as far as it is said.
func (s Addresses) Agrees(other Addresses) bool { return s == "" || other == "" || s == other }

func (s Addresses) String() string { return strings.ReplaceAll(string(s), " ", ", ") }

// Claim is an address that the owner of another group has.
type Claim struct {
	Addr netip.Addr
	// VIP is the group's name, Node its owner's.
	VIP, Node string
}

// MayHave tells whether this node, as owner, may have an address: after a reload one
// that is new is claimed first. It is of use while a lease decides.
func (m *Machine) MayHave(a netip.Addr) bool {
	return m.bootstraps || !m.mine() || m.owner.Addresses == "" || slices.Contains(m.owner.Addresses.List(), a)
}

// Claimed is what this node, as owner, has claimed; empty: it claims nothing by a
// lease.
func (m *Machine) Claimed() Addresses {
	if m.bootstraps || !m.mine() {
		return ""
	}
	return m.owner.Addresses
}

// Readdress takes over other addresses of the group. An owner gives a claim up when the
// kernel has removed the address for sure.
func (m *Machine) Readdress(now time.Time, all []netip.Addr) {
	before := m.addresses
	m.addresses = SetOf(all)
	if m.mine() && len(before.Without(m.addresses)) > 0 {
		m.claimAt = now.Add(m.cfg.Fence + offSlack)
	}
}

// mayClaim: claims may be changed. One that was refused just now would be again.
func (m *Machine) mayClaim(now time.Time) bool {
	if now.Before(m.claimAt) {
		m.wakeAt(m.claimAt)
		return false
	}
	return true
}

// refuse hears that addresses are claimed for other groups. An owner by VRRP makes way
// as for any holder of a lease.
func (m *Machine) refuse(now time.Time, claims []Claim) {
	m.refused, m.refusedAt = claims, m.owner.Revision
	m.claimAt = now.Add(claimPause)
	m.outranked = m.outranked || m.bootstraps
}

// discord is what other nodes say of the group's addresses, and this one does not;
// empty: they agree. It is one line, with the mend.
func (m *Machine) discord() string {
	const mend = "give the VIP with the same addresses the same vips[].name on all nodes"
	switch {
	case len(m.refused) > 0 && m.refusedAt == m.owner.Revision:
		words := make([]string, len(m.refused))
		for i, c := range m.refused {
			words[i] = fmt.Sprintf("%s has %s as %s", c.Node, c.Addr, c.VIP)
		}
		return fmt.Sprintf("the lease is not taken, because another VIP has the address: %s, here it is this one; %s", strings.Join(words, "; "), mend)
	case m.owner.Lease != 0 && !m.mine() && m.owner.Node != m.cfg.Node && !m.owner.Addresses.Agrees(m.addresses):
		return fmt.Sprintf("%s owns this name with %s, here it has %s; %s", m.owner.Node, m.owner.Addresses, m.addresses, mend)
	}
	for _, c := range m.candidates {
		if c.Node != m.cfg.Node && !c.Addresses.Agrees(m.addresses) {
			return fmt.Sprintf("on %s this name has %s, here it has %s, so neither takes over from the other; %s", c.Node, c.Addresses, m.addresses, mend)
		}
	}
	return ""
}
