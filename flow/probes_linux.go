package flow

import (
	"errors"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// probeTable is the scratch table of probes. It is made and deleted in one
// transaction, so nobody ever sees it.
const probeTable = "vipd-probe"

// probes asks the kernel for everything that is used.
func (f *Flow) probes() []probe {
	all := []probe{{SocketDestroy, Both, f.diag.canDestroy}, {TableOwner, Both, f.tables.canOwn}}
	for _, h := range []headers{headers4(), headers6()} {
		family := nameOf(h.family)
		add := func(feature Feature, statements ...[]expr.Any) {
			all = append(all, probe{feature, family, func() error { return f.tables.try(h, rule(statements...)) }})
		}
		add(NFTables, drop())
		add(SetTimeout, in(setVIPs, h.target))
		add(DynamicSet, update(setSeen, true, h.target))
		add(SocketMatch, socket(expr.SocketKeyWildcard, 0))
		add(HeaderWrite, h.stamp(firstTTL))
		add(Duplication, dup(mapPrev, h.target))
		if h.family == nftables.TableFamilyIPv4 {
			add(FibMatch, fromHere())
		}
	}
	return all
}

// try loads a rule, and the sets that rules of probes name, and takes them away
// in the same transaction.
func (t *tables) try(h headers, statements []expr.Any) error {
	table := &nftables.Table{Family: h.family, Name: probeTable}
	accept := nftables.ChainPolicyAccept
	chain := &nftables.Chain{
		Name: "probe", Table: table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityRaw, Policy: &accept,
	}
	t.conn.AddTable(table)
	for _, s := range probeSets(table, h, statements) {
		if err := t.conn.AddSet(s, nil); err != nil {
			return errors.Join(fmt.Errorf("probe: set %s: %w", s.Name, err), t.discard())
		}
	}
	t.conn.AddChain(chain)
	t.conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: statements})
	t.conn.DelTable(table)
	return t.commit()
}

// probeSets are the sets that the statements name.
func probeSets(table *nftables.Table, h headers, statements []expr.Any) []*nftables.Set {
	known := map[string]nftables.Set{
		setVIPs: {HasTimeout: true},
		setSeen: {HasTimeout: true, Dynamic: true, Size: vipsSize, Timeout: seenFor},
		mapPrev: {HasTimeout: true, IsMap: true, DataType: h.address},
		mapOut:  {HasTimeout: true, IsMap: true, DataType: nftables.MustConcatSetType(nftables.TypeIFIndex, nftables.TypeInetService)},
	}
	sets := make([]*nftables.Set, 0, len(known))
	for _, statement := range statements {
		var name string
		switch s := statement.(type) {
		case *expr.Lookup:
			name = s.SetName
		case *expr.Dynset:
			name = s.SetName
		default:
			continue
		}
		s := known[name]
		s.Table, s.Name, s.KeyType, s.ID = table, name, h.address, uint32(len(sets)+1) //nolint:gosec // two at most
		sets = append(sets, &s)
	}
	return sets
}

// family tells whether connections of a family can be kept.
func (f Features) family(family nftables.TableFamily) bool { return f.Handover(nameOf(family)) }

func nameOf(family nftables.TableFamily) Family {
	if family == nftables.TableFamilyIPv6 {
		return IPv6
	}
	return IPv4
}
