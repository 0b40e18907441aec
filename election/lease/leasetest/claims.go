package leasetest

import (
	"net/netip"
	"sync"

	"github.com/vipd/vipd/election/lease"
)

// claims are the addresses that owners of several groups have.
type claims struct {
	mu   sync.Mutex
	held map[netip.Addr]held
}

// held is a claim: of a group's owner, bound to its lease.
type held struct {
	vip, node string
	lease     lease.ID
}

// others are those of addresses that are other groups'.
func (c *claims) others(vip string, all lease.Addresses) (found []lease.Claim) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range all.List() {
		if h, ok := c.held[a]; ok && h.vip != vip {
			found = append(found, lease.Claim{Addr: a, VIP: h.vip, Node: h.node})
		}
	}
	return found
}

// change claims what an order's owner has, bound to a lease, and gives up what the
// former one had beside it.
func (c *claims) change(vip string, o lease.Order, to lease.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range o.Former.Without(o.Owner.Addresses) {
		delete(c.held, a)
	}
	for _, a := range o.Owner.Addresses.List() {
		c.held[a] = held{vip, o.Owner.Node, to}
	}
}

// end ends a group's claims that are bound to a lease; 0: all.
func (c *claims) end(vip string, id lease.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for a, h := range c.held {
		if h.vip == vip && (id == 0 || h.lease == id) {
			delete(c.held, a)
		}
	}
}
