package vip

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
)

// table is what the kernel has told about interfaces and addresses, by interface
// index. Its methods take one kernel message or a whole listing and return the
// events that follow from it.
type table map[int]Interface

// setLink takes the state of a link; its addresses are those already known.
func (t table) setLink(link Interface) []Event {
	old, known := t[link.Index]
	link.Addrs = old.Addrs
	if known && old.equal(link) {
		return nil
	}
	t[link.Index] = link
	var events []Event
	if known && old.Name != link.Name {
		events = append(events, InterfaceGone{Name: old.Name, Index: old.Index})
	}
	return append(events, InterfaceChanged{Interface: link.clone()})
}

// removeLink takes the removal of a link.
func (t table) removeLink(index int) []Event {
	link, known := t[index]
	if !known {
		return nil
	}
	delete(t, index)
	return []Event{InterfaceGone{Name: link.Name, Index: index}}
}

// setAddress takes a new or changed address. An address of an unknown link is
// ignored: the link's own message brings it.
func (t table) setAddress(index int, a Address) []Event {
	link, known := t[index]
	if !known {
		return nil
	}
	at, found := slices.BinarySearchFunc(link.Addrs, a, compareAddresses)
	switch {
	case found && link.Addrs[at] == a:
		return nil
	case found:
		link.Addrs[at] = a
	default:
		link.Addrs = slices.Insert(link.Addrs, at, a)
	}
	t[index] = link
	return []Event{InterfaceChanged{Interface: link.clone()}}
}

// removeAddress takes the removal of an address.
func (t table) removeAddress(index int, p netip.Prefix) []Event {
	link, known := t[index]
	if !known {
		return nil
	}
	at, found := slices.BinarySearchFunc(link.Addrs, Address{Prefix: p}, compareAddresses)
	if !found {
		return nil
	}
	link.Addrs = slices.Delete(link.Addrs, at, at+1)
	t[index] = link
	return []Event{
		AddressRemoved{Interface: link.Name, Prefix: p},
		InterfaceChanged{Interface: link.clone()},
	}
}

// list takes everything that is there, after the start or after messages were
// lost, and ends with Synced.
func (t table) list(links []Interface) []Event {
	var events []Event
	now := table{}
	for _, link := range links {
		slices.SortFunc(link.Addrs, compareAddresses)
		now[link.Index] = link
	}
	for _, index := range slices.Sorted(maps.Keys(t)) {
		old, link := t[index], now[index]
		for _, a := range old.Addrs {
			if _, stays := slices.BinarySearchFunc(link.Addrs, a, compareAddresses); !stays {
				events = append(events, AddressRemoved{Interface: old.Name, Prefix: a.Prefix})
			}
		}
		if old.Name != link.Name {
			events = append(events, InterfaceGone{Name: old.Name, Index: index})
		}
	}
	for _, index := range slices.Sorted(maps.Keys(now)) {
		if old, known := t[index]; !known || !old.equal(now[index]) {
			events = append(events, InterfaceChanged{Interface: now[index].clone()})
		}
	}
	clear(t)
	maps.Copy(t, now)
	return append(events, Synced{})
}

// compareAddresses orders addresses by their prefix, which alone tells them
// apart.
func compareAddresses(a, b Address) int {
	return cmp.Or(a.Prefix.Addr().Compare(b.Prefix.Addr()), cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits()))
}
