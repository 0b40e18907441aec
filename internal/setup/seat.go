package setup

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vipd/vipd/config"
)

// seatOf chooses the interface and the node's address.
func seatOf(w Wish, h Host) (seat, error) {
	s, err := chooseLink(w, h)
	if err != nil {
		return seat{}, err
	}
	return chooseOwn(s, w, h)
}

func chooseLink(w Wish, h Host) (seat, error) {
	first := w.VIPs[0]
	if w.Interface != "" {
		if !slices.ContainsFunc(h.Interfaces, func(i config.Interface) bool { return i.Name == w.Interface }) {
			return seat{}, fmt.Errorf("this host has no interface %s; it has %s", w.Interface, describe(h.Interfaces))
		}
		return seat{link: w.Interface}, nil
	}
	if w.NodeAddress.IsValid() {
		for _, link := range h.Interfaces {
			if slices.Contains(addressesOf(link), w.NodeAddress) {
				s := seat{link: link.Name, reasons: []string{fmt.Sprintf("The interface is %s, which has %s; --interface chooses another", link.Name, w.NodeAddress)}}
				found, ok := resolve(first, h)
				s.ambiguous = !ok || found != link.Name || len(rivals(first, h)) > 1
				return s, nil
			}
		}
		return seat{}, fmt.Errorf("no interface of this host has %s; it has %s", w.NodeAddress, describe(h.Interfaces))
	}
	link, ok := resolve(first, h)
	if !ok {
		return seat{}, fmt.Errorf("no interface of this host has a subnet with %s; it has %s; correct --vip, or say with --interface where the other nodes are", first, describe(h.Interfaces))
	}
	reason := fmt.Sprintf("whose subnet %s holds %s", subnetOn(link, first, h).Masked(), first)
	same := rivals(first, h)
	if len(same) > 1 {
		reason = fmt.Sprintf("the first of %s, which all have the subnet of %s", strings.Join(same, ", "), first)
	}
	return seat{
		link:      link,
		ambiguous: len(same) > 1,
		reasons:   []string{"The interface is " + link + ", " + reason + "; --interface chooses another"},
	}, nil
}

// chooseOwn adds the node's address to a seat.
func chooseOwn(s seat, w Wish, h Host) (seat, error) {
	link := h.Interfaces[slices.IndexFunc(h.Interfaces, func(i config.Interface) bool { return i.Name == s.link })]
	first := w.VIPs[0]
	if w.NodeAddress.IsValid() {
		s.own = w.NodeAddress
		return s, nil
	}
	if p, ok := link.Subnet(first); ok && !p.Addr().IsLinkLocalUnicast() {
		s.own = p.Addr()
		s.reasons = append(s.reasons, fmt.Sprintf("This node's address is %s, that of %s in the subnet of %s; --node-address chooses another", s.own, s.link, first))
		return s, nil
	}
	for _, a := range addressesOf(link) {
		if a.Is6() == first.Is6() && !a.IsLinkLocalUnicast() {
			s.own = a
			s.reasons = append(s.reasons, fmt.Sprintf("This node's address is %s, the first of %s; --node-address chooses another", a, s.link))
			return s, nil
		}
	}
	if first.Is6() && slices.ContainsFunc(addressesOf(link), netip.Addr.Is6) {
		return s, nil
	}
	return seat{}, fmt.Errorf("%s has no %s address of its own, which the adverts for %s would come from; give it one, or choose another interface with --interface", s.link, family(first), first)
}

// resolve is the interface that the daemon finds when the file names none.
func resolve(first netip.Addr, h Host) (string, bool) {
	return config.ResolveInterface(config.VIP{Addresses: []netip.Addr{first}, Election: config.ElectionVRRP}, h.Interfaces)
}

// rivals are the interfaces with as long a subnet for a VIP as the one that is
// found, that one first.
func rivals(first netip.Addr, h Host) []string {
	link, ok := resolve(first, h)
	if !ok {
		return nil
	}
	length := subnetOn(link, first, h).Bits()
	var all []string
	for _, i := range h.Interfaces {
		if p, ok := i.Subnet(first); ok && p.Bits() == length {
			all = append(all, i.Name)
		}
	}
	return all
}

// subnetOn is the subnet of an interface that holds a.
func subnetOn(link string, a netip.Addr, h Host) netip.Prefix {
	for _, i := range h.Interfaces {
		if p, ok := i.Subnet(a); ok && i.Name == link {
			return p
		}
	}
	return netip.Prefix{}
}

// addressesOf are an interface's own addresses: those of full length may be
// VIPs that are held now.
func addressesOf(i config.Interface) []netip.Addr {
	var all []netip.Addr
	for _, p := range i.Prefixes {
		if p.Bits() < p.Addr().BitLen() {
			all = append(all, p.Addr())
		}
	}
	return all
}

// describe lists the interfaces that VIPs could be on.
func describe(host []config.Interface) string {
	all := make([]string, 0, len(host))
	for _, i := range host {
		if i.Name == "lo" {
			continue
		}
		text := i.Name + " without an address"
		if len(i.Prefixes) > 0 {
			prefixes := make([]string, len(i.Prefixes))
			for j, p := range i.Prefixes {
				prefixes[j] = p.String()
			}
			text = i.Name + " with " + strings.Join(prefixes, " and ")
		}
		all = append(all, text)
	}
	if len(all) == 0 {
		return "none but the loopback"
	}
	return strings.Join(all, ", ")
}

func family(a netip.Addr) string {
	if a.Is6() {
		return "IPv6"
	}
	return "IPv4"
}
