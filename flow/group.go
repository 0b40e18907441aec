package flow

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// Role is what a node does with the packets of a VIP.
type Role uint8

// The roles. A VIP that a node has nothing to do with is not in the state.
const (
	// Owner takes new connections; it sends what it does not know to its
	// predecessor.
	Owner Role = iota + 1
	// Shadow was owner and carries the connections that are open here. It takes
	// no new ones: it sends what was meant for the owner to the owner.
	Shadow
)

func (r Role) String() string {
	switch r {
	case Owner:
		return "owner"
	case Shadow:
		return "shadow"
	default:
		return fmt.Sprintf("role %d", uint8(r))
	}
}

// NextHop is a node on the VIP's segment, for one family: by its own address, or
// by its MAC alone where no address of the family is known. The zero NextHop is
// none.
type NextHop struct {
	Addr netip.Addr
	// MAC is used only without Addr.
	MAC net.HardwareAddr
}

// IsZero tells whether h is none.
func (h NextHop) IsZero() bool { return !h.Addr.IsValid() && len(h.MAC) == 0 }

// Node is a node as next hop for each family.
type Node struct{ V4, V6 NextHop }

// hop is the node as next hop for the family of addr.
func (n Node) hop(addr netip.Addr) NextHop {
	if addr.Is4() {
		return n.V4
	}
	return n.V6
}

// Group is a VIP group that this node owns or is a shadow of.
type Group struct {
	Name      string
	Interface string
	Addresses []netip.Addr
	// Port is the TCP port whose connections are kept.
	Port uint16
	Role Role
	// Prev gets what this node does not know: of the living nodes that owned the
	// VIP before this one, the last. Without one the kernel answers, with a reset.
	Prev Node
	// Owner is where a shadow sends what is not for a connection of its own.
	Owner Node
	// Settling: other nodes are changing their part in the chain just now, so that
	// packets may circle for a moment. They are dropped then instead of reset.
	Settling bool
	// Lifetime is how long the kernel keeps this up after the last Apply, in
	// steps of a millisecond, at least one.
	Lifetime time.Duration
}

// maxLifetime bounds what is asked of the kernel.
const maxLifetime = 24 * time.Hour

// check refuses what no kernel state stands for.
func (g Group) check() error {
	switch {
	case g.Role != Owner && g.Role != Shadow:
		return fmt.Errorf("%s is neither owner nor shadow", g.Role)
	case g.Port == 0:
		return errors.New("no port")
	case g.Lifetime < time.Millisecond || g.Lifetime > maxLifetime:
		return fmt.Errorf("lifetime %v is not between 1ms and %v", g.Lifetime, maxLifetime)
	case len(g.Addresses) == 0:
		return errors.New("no addresses")
	}
	for _, addr := range g.Addresses {
		if !addr.IsValid() || addr.Is4In6() || addr.Zone() != "" {
			return fmt.Errorf("%q is no address of a VIP", addr)
		}
		for _, node := range []Node{g.Prev, g.Owner} {
			if err := node.hop(addr).check(addr); err != nil {
				return err
			}
		}
	}
	return nil
}

// check refuses a next hop that cannot carry packets to vip.
func (h NextHop) check(vip netip.Addr) error {
	switch {
	case h.IsZero():
		return nil
	case h.Addr.IsValid() && h.Addr.Is4() != vip.Is4():
		return fmt.Errorf("%s is no next hop for %s", h.Addr, vip)
	case h.Addr == vip:
		return fmt.Errorf("%s as its own next hop", vip)
	case !h.Addr.IsValid() && len(h.MAC) != macLength:
		return fmt.Errorf("next hop with MAC %q", h.MAC)
	default:
		return nil
	}
}

// checkAll refuses groups that contradict each other.
func checkAll(groups []Group) error {
	seen := map[netip.Addr]string{}
	for _, g := range groups {
		if err := g.check(); err != nil {
			return fmt.Errorf("group %s: %w", g.Name, err)
		}
		for _, addr := range g.Addresses {
			if other, twice := seen[addr]; twice {
				return fmt.Errorf("group %s: %s is in group %s too", g.Name, addr, other)
			}
			seen[addr] = g.Name
		}
	}
	return nil
}
