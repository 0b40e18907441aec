package vip

import (
	"bytes"
	"net"
	"net/netip"
	"slices"
)

// Interface is one network interface with its addresses.
type Interface struct {
	Name string
	// Index is the kernel's number of this interface; an interface that is made
	// anew under the same name has another one.
	Index int
	// MAC is the link-layer address; empty on interfaces without one.
	MAC net.HardwareAddr
	// Up: set up by the administrator, with carrier, and operational (RFC 2863)
	// or of a driver that does not tell.
	Up bool
	// Addrs are sorted by address.
	Addrs []Address
}

// Address is one address of an interface.
type Address struct {
	// Prefix is the address with the length of its subnet, not masked.
	Prefix netip.Prefix
	// Finite: the kernel will remove it when its lifetime ends.
	Finite bool
	// Secondary: IPv4, an earlier address in the same subnet is preferred as
	// source; IPv6, a temporary (privacy) address.
	Secondary bool
	// Deprecated: not to be used as source of new connections.
	Deprecated bool
	// Tentative: IPv6, not in use before duplicate address detection ends.
	Tentative bool
	// DADFailed: IPv6, not in use because another station has it.
	DADFailed bool
}

// Event is what [Watch] reports: [InterfaceChanged], [InterfaceGone],
// [AddressRemoved] or [Synced].
type Event interface{ event() }

// InterfaceChanged tells the whole state of an interface that is new or
// different; a refreshed lifetime is no difference.
type InterfaceChanged struct{ Interface Interface }

// InterfaceGone tells that an interface was removed or lost its name.
type InterfaceGone struct {
	Name  string
	Index int
}

// AddressRemoved tells that an address was taken off an interface, by someone or
// by its lifetime. The interface's new state follows.
type AddressRemoved struct {
	Interface string
	Prefix    netip.Prefix
}

// Synced tells that everything which is there has been told: after the start,
// and again after events were lost and everything was listed anew.
type Synced struct{}

func (InterfaceChanged) event() {}
func (InterfaceGone) event()    {}
func (AddressRemoved) event()   {}
func (Synced) event()           {}

// equal compares whole states.
func (i Interface) equal(o Interface) bool {
	return i.Name == o.Name && i.Index == o.Index && i.Up == o.Up &&
		bytes.Equal(i.MAC, o.MAC) && slices.Equal(i.Addrs, o.Addrs)
}

// clone detaches the state from the table it comes from.
func (i Interface) clone() Interface {
	i.MAC = slices.Clone(i.MAC)
	i.Addrs = slices.Clone(i.Addrs)
	return i
}
