package flow

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// want notes which interfaces the groups need settings for.
func (f *Flow) want(groups []Group) {
	clear(f.quiet)
	clear(f.martian)
	for _, g := range groups {
		if !slices.ContainsFunc(g.Addresses, netip.Addr.Is4) {
			continue
		}
		switch {
		case g.Role == Shadow:
			f.quiet[g.Interface] = true
		case !g.Prev.V4.IsZero() && f.features.guard():
			f.martian[g.Interface] = true
		}
	}
}

// wanted is the least value of each setting that an interface needs now.
func (f *Flow) wanted(ifname string) map[setting]uint32 {
	values := map[setting]uint32{}
	if f.strays || f.quiet[ifname] || slices.ContainsFunc(slices.Collect(maps.Keys(f.shadows[ifname])), netip.Addr.Is4) {
		maps.Copy(values, quietSettings())
	}
	if f.martian[ifname] || f.guests[ifname] > 0 {
		values[acceptLocal] = 1
	}
	return values
}

// borrow changes what interfaces need and have not. A value that is higher
// already is stricter and stays.
func (f *Flow) borrow() error {
	names := map[string]bool{}
	for _, set := range []map[string]bool{f.quiet, f.martian} {
		maps.Copy(names, set)
	}
	for name := range f.shadows {
		names[name] = true
	}
	errs := make([]error, 0, len(names))
	for _, name := range slices.Sorted(maps.Keys(names)) {
		errs = append(errs, f.borrowFor(name))
	}
	return errors.Join(errs...)
}

func (f *Flow) borrowFor(ifname string) error {
	wanted := f.wanted(ifname)
	if len(wanted) == 0 {
		return nil
	}
	l, err := f.conf.link(ifname)
	if err != nil {
		return err
	}
	errs := make([]error, 0, len(wanted))
	for _, s := range slices.Sorted(maps.Keys(wanted)) {
		if now, known := l.settings[s]; known && now < wanted[s] {
			errs = append(errs, f.borrowSetting(l, s, wanted[s]))
		}
	}
	return errors.Join(errs...)
}

func (f *Flow) borrowSetting(l link, s setting, value uint32) error {
	if _, known := f.loans.find(l, s); !known {
		o := loan{Interface: l.name, Index: l.index, Setting: s, Former: l.settings[s], Now: value}
		if err := f.loans.add(o); err != nil {
			// Only a kill would leave the setting behind, where it does no harm.
			f.log.Warn("a kill would leave a changed setting behind", "interface", l.name, "setting", s.String(), "error", err)
		}
	}
	return f.conf.set(l, s, value)
}

// findStrays tells whether a shadow of an earlier life stands on lo that nobody
// has taken over: a single IPv4 address that expires. Until it does, this host must
// not answer for it.
func (f *Flow) findStrays() (bool, error) {
	if len(f.loans.list) == 0 {
		return false, nil
	}
	list, err := f.route.AddrList(nil, unix.AF_INET)
	if err != nil {
		return false, fmt.Errorf("list addresses: %w", err)
	}
	return slices.ContainsFunc(list, func(a netlink.Addr) bool {
		ones, bits := a.Mask.Size()
		return a.LinkIndex == loopback && ones == bits && a.Flags&unix.IFA_F_PERMANENT == 0
	}), nil
}

// giveBack puts back what no interface needs any more. Before the first Apply of
// a life nobody knows what is needed.
func (f *Flow) giveBack() error {
	if !f.applied {
		return nil
	}
	var err error
	if f.strays, err = f.findStrays(); err != nil {
		return err
	}
	var errs []error
	for _, o := range slices.Clone(f.loans.list) {
		if _, needed := f.wanted(o.Interface)[o.Setting]; !needed {
			errs = append(errs, f.giveBackSetting(o))
		}
	}
	return errors.Join(errs...)
}

func (f *Flow) giveBackSetting(o loan) error {
	l, err := f.conf.link(o.Interface)
	switch {
	case errors.Is(err, unix.ENODEV):
		return f.loans.remove(o)
	case err != nil:
		return err
	}
	// Somebody else's later value stays, and so does a new interface's own.
	if o.covers(l, o.Setting) && l.settings[o.Setting] == o.Now {
		if err := f.conf.set(l, o.Setting, o.Former); err != nil {
			return err
		}
	}
	return f.loans.remove(o)
}
