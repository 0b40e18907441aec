package flow

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// elementsPerMessage keeps a message below netlink's 64 KiB for a list.
const elementsPerMessage = 256

// tables is the kernel's nftables. Changes are queued and take effect together,
// or not at all, by commit.
type tables struct {
	conn *nftables.Conn
	// socket is the one under conn, for the message that the library cannot make.
	socket *netlink.Conn
	look   *inspector
	// own: the kernel knows tables that belong to a process.
	own bool
}

func dialTables() (*tables, error) {
	look, err := dialInspector()
	if err != nil {
		return nil, err
	}
	t := &tables{look: look}
	if err := t.dial(); err != nil {
		return nil, errors.Join(err, look.close())
	}
	return t, nil
}

func (t *tables) dial() error {
	conn, err := nftables.New(nftables.AsLasting(), nftables.WithSockOptions(func(socket *netlink.Conn) error {
		t.socket = socket
		return nil
	}))
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	t.conn = conn
	return nil
}

func (t *tables) close() error { return errors.Join(t.conn.CloseLasting(), t.look.close()) }

// commit carries out what is queued, in one transaction.
func (t *tables) commit() error {
	if err := t.conn.Flush(); err != nil {
		// Answers of the failed transaction may still be on their way.
		return errors.Join(err, t.discard())
	}
	return nil
}

// discard forgets what is queued, by starting over with a new socket.
func (t *tables) discard() error {
	return errors.Join(t.conn.CloseLasting(), t.dial())
}

// install queues the table without elements, in place of whatever is there.
func (t *tables) install(r *ruleset) error {
	if err := t.clear(r); err != nil {
		return err
	}
	for _, s := range r.sets {
		var constant []nftables.SetElement
		if s == r.icmpErrors {
			for _, kind := range r.headers.icmpErrors {
				constant = append(constant, nftables.SetElement{Key: []byte{kind}})
			}
		}
		declared := *s
		if err := t.conn.AddSet(&declared, constant); err != nil {
			return fmt.Errorf("set %s: %w", s.Name, err)
		}
	}
	for _, c := range r.chains {
		t.conn.AddChain(c)
	}
	for _, r := range r.rules {
		t.conn.AddRule(r)
	}
	return nil
}

// clear queues an empty table. One that is ours stays, since only its content can
// be replaced together with what comes next.
func (t *tables) clear(r *ruleset) error {
	if !t.own {
		t.conn.AddTable(r.table)
		t.conn.DelTable(r.table)
		t.conn.AddTable(r.table)
		return nil
	}
	chains, err := t.conn.ListChainsOfTableFamily(r.family)
	if err != nil {
		return fmt.Errorf("list chains: %w", err)
	}
	sets, err := t.conn.GetSets(r.table)
	if err != nil {
		return fmt.Errorf("list sets: %w", err)
	}
	t.conn.FlushTable(r.table)
	for _, c := range chains {
		if c.Table.Name == tableName {
			t.conn.DelChain(c)
		}
	}
	for _, s := range sets {
		if !s.Anonymous {
			s.Table = r.table
			t.conn.DelSet(s)
		}
	}
	return nil
}

// remove deletes the table, if it is there.
func (t *tables) remove(r *ruleset) error {
	if t.own {
		if err := t.claim(r.table); err != nil {
			return err
		}
	} else {
		t.conn.AddTable(r.table)
	}
	t.conn.DelTable(r.table)
	return t.commit()
}

// fill queues that the sets hold these elements and no others. In one
// transaction a set is emptied and filled without a packet noticing. Adding an
// element that is there would leave its time as it is, and deleting one that has
// just expired would fail the transaction.
func (t *tables) fill(r *ruleset, sets []string, all []element) error {
	for _, name := range sets {
		s := r.named(name)
		t.conn.FlushSet(s)
		if err := t.add(s, of(name, all)); err != nil {
			return err
		}
	}
	return nil
}

// of picks the elements of one set.
func of(set string, all []element) []nftables.SetElement {
	var list []nftables.SetElement
	for _, e := range all {
		if e.set == set {
			list = append(list, nftables.SetElement{Key: e.key, Val: e.value, Timeout: e.timeout})
		}
	}
	return list
}

func (t *tables) add(s *nftables.Set, list []nftables.SetElement) error {
	for chunk := range slices.Chunk(list, elementsPerMessage) {
		if err := t.conn.SetAddElements(s, chunk); err != nil {
			return fmt.Errorf("set %s: %w", s.Name, err)
		}
	}
	return nil
}

// settle queues the drop window of VIPs whose role changes.
func (t *tables) settle(r *ruleset, vips []netip.Addr) error {
	list := make([]nftables.SetElement, 0, len(vips))
	for _, vip := range vips {
		list = append(list, nftables.SetElement{Key: vip.AsSlice()})
	}
	return t.add(r.named(setSettling), list)
}

// elements reads sets.
func (t *tables) elements(r *ruleset, sets ...string) ([]element, error) {
	var all []element
	for _, name := range sets {
		list, err := t.conn.GetSetElements(r.named(name))
		if err != nil {
			return nil, fmt.Errorf("read set %s: %w", name, err)
		}
		for _, e := range list {
			all = append(all, element{set: name, key: e.Key, value: e.Val})
		}
	}
	return all, nil
}

// forget removes from @seen who opened connections to VIPs. No packet adds to
// them meanwhile, because this node does not own them yet. Other VIPs' entries
// stay: their clients may be opening connections right now.
func (t *tables) forget(r *ruleset, vips []netip.Addr) error {
	seen := r.named(setSeen)
	list, err := t.conn.GetSetElements(seen)
	if err != nil {
		return fmt.Errorf("read set %s: %w", setSeen, err)
	}
	list = slices.DeleteFunc(list, func(e nftables.SetElement) bool { return !slices.Contains(vips, opened(e.Key, r.v6())) })
	if len(list) == 0 {
		return nil
	}
	for chunk := range slices.Chunk(list, elementsPerMessage) {
		keys := make([]nftables.SetElement, len(chunk))
		for i, e := range chunk {
			keys[i].Key = e.Key
		}
		// An entry that expired since would fail the deletion, so it is added first.
		err := errors.Join(t.conn.SetAddElements(seen, keys), t.conn.SetDeleteElements(seen, keys))
		if err != nil {
			return fmt.Errorf("set %s: %w", setSeen, err)
		}
	}
	err = t.commit()
	if errors.Is(err, unix.ENFILE) {
		// The set is full, so nothing can be added: somebody floods this node.
		t.conn.FlushSet(seen)
		err = t.commit()
	}
	if err != nil {
		return fmt.Errorf("empty set %s: %w", setSeen, err)
	}
	return nil
}

// counts reads the counters of all VIPs of a family.
func (t *tables) counts(r *ruleset, into map[netip.Addr]Counters) error {
	for _, name := range counters() {
		list, err := t.conn.GetSetElements(r.named(name))
		if err != nil {
			return fmt.Errorf("read set %s: %w", name, err)
		}
		for _, e := range list {
			vip, ok := netip.AddrFromSlice(e.Key)
			if !ok || e.Counter == nil {
				continue
			}
			c := into[vip]
			c.set(name, e.Counter.Packets)
			into[vip] = c
		}
	}
	return nil
}
