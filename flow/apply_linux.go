package flow

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/google/nftables"
)

// Apply brings this node's rules to exactly these groups, all in one
// transaction: a VIP that becomes a shadow's is the owner's until then, and no
// packet sees anything between. It is idempotent, and repeating it renews the
// lifetimes, puts back what somebody flushed, and takes back what was borrowed
// for groups that are gone. It touches no other table than `vipd` of the
// families ip and ip6.
//
// It is to be called once at the start, whatever the groups: entries and settings
// of an earlier life that no group wants end with that; those that are wanted
// are adopted.
//
// A group whose interface is missing is left out, with an error; the others are
// applied.
func (f *Flow) Apply(ctx context.Context, groups []Group) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("apply rules: %w", err)
	}
	if err := checkAll(groups); err != nil {
		return fmt.Errorf("apply rules: %w", err)
	}
	if err := f.apply(groups); err != nil {
		return fmt.Errorf("apply rules: %w", err)
	}
	return nil
}

func (f *Flow) apply(groups []Group) error {
	parts, errs := f.place(groups)
	f.want(groups)
	first := !f.applied
	f.applied = true
	// accept_local goes before the rule that bounds it, and comes after.
	errs = append(errs, f.giveBack(), f.bring(parts))
	errs = append(errs, f.borrow())
	if first {
		errs = append(errs, f.sweepHops())
	}
	return errors.Join(errs...)
}

// place puts groups into the kernel's terms, by family.
func (f *Flow) place(groups []Group) (parts map[nftables.TableFamily][]part, errs []error) {
	parts = map[nftables.TableFamily][]part{}
	own, err := f.linkLocals()
	if err != nil {
		errs = append(errs, err)
	}
	for _, g := range groups {
		link, err := f.conf.link(g.Interface)
		if err != nil {
			errs = append(errs, fmt.Errorf("group %s: %w", g.Name, err))
			continue
		}
		for _, vip := range g.Addresses {
			p := part{vip: vip, port: g.Port, index: link.index, role: g.Role, own: own[link.index], settling: g.Settling, lifetime: g.Lifetime}
			var prevErr, ownerErr error
			p.prev, prevErr = f.resolve(link.index, g.Prev.hop(vip), vip)
			if g.Role == Shadow {
				p.owner, ownerErr = f.resolve(link.index, g.Owner.hop(vip), vip)
			}
			if err := errors.Join(prevErr, ownerErr); err != nil {
				errs = append(errs, fmt.Errorf("group %s: %w", g.Name, err))
			}
			family := familyOf(vip)
			parts[family] = append(parts[family], p)
		}
	}
	return parts, errs
}

// resolve gives the address to send to; invalid for none.
func (f *Flow) resolve(index int, hop NextHop, vip netip.Addr) (netip.Addr, error) {
	if hop.IsZero() || hop.Addr.IsValid() {
		return hop.Addr.WithZone(""), nil
	}
	return f.reserve(index, hop.MAC, !vip.Is4())
}

// view is what was found of one family's table.
type view struct {
	rules  *ruleset
	parts  []part
	intact bool
	before map[netip.Addr]present
}

// bring changes the tables of both families in one transaction.
func (f *Flow) bring(parts map[nftables.TableFamily][]part) error {
	var errs []error
	var views []view
	for _, family := range families() {
		v, err := f.look(f.rulesets[family], parts[family])
		if err != nil {
			errs = append(errs, fmt.Errorf("table %s of family %s: %w", tableName, familyName(family), err))
			continue
		}
		if v.intact || len(v.parts) > 0 {
			views = append(views, v)
		}
	}
	for _, v := range views {
		if err := f.claim(v); err != nil {
			return errors.Join(append(errs, err)...)
		}
	}
	for _, v := range views {
		if err := f.queue(v); err != nil {
			return errors.Join(append(errs, err, f.tables.discard())...)
		}
	}
	if err := f.tables.commit(); err != nil {
		return errors.Join(append(errs, err)...)
	}
	for _, v := range views {
		f.expected[v.rules.family] = true
	}
	return errors.Join(errs...)
}

// look reads what a family's table says, and makes it forget what will no longer
// be true.
func (f *Flow) look(r *ruleset, parts []part) (view, error) {
	v := view{rules: r, parts: parts}
	if !f.features.family(r.family) {
		if len(parts) > 0 {
			return v, ErrUnsupported
		}
		return v, nil
	}
	var err error
	if v.intact, err = f.tables.look.intact(r); err != nil || !v.intact {
		return v, err
	}
	listed, err := f.tables.elements(r, setOwned, setShadowed, mapPrev, mapOwners)
	if err != nil {
		return v, err
	}
	v.before = presence(listed, r.v6())
	if forget := transitionTo(parts, v.before).forget; len(forget) > 0 {
		return v, f.tables.forget(r, forget)
	}
	return v, nil
}

// claim makes sure that a family's table is there and ours, before anything is
// queued.
func (f *Flow) claim(v view) error {
	if !f.tables.own {
		return nil
	}
	return f.tables.claim(v.rules.table)
}

// queue queues what brings a family's table to its parts.
func (f *Flow) queue(v view) error {
	if !v.intact {
		if f.expected[v.rules.family] {
			f.log.Warn("rules were gone; putting them back", "family", familyName(v.rules.family))
		}
		if err := f.tables.install(v.rules); err != nil {
			return err
		}
	}
	guard := v.rules.family == nftables.TableFamilyIPv4 && f.features.guard()
	if err := f.tables.fill(v.rules, stateSets(v.rules.v6()), elements(v.parts, guard)); err != nil {
		return err
	}
	return f.tables.settle(v.rules, transitionTo(v.parts, v.before).settle)
}
