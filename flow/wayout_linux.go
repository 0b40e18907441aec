package flow

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Chains of a scratch table of trials.
const (
	chainTrialOutput = "output"
	chainTrialEnd    = "end"
)

// trials is a scratch table that sees packets after every filter of this host,
// counts them and drops them. It belongs to a socket, and ends with it (Linux
// 5.12); before, it is deleted like any other.
type trials struct {
	tables *tables
	table  *nftables.Table
	marks  [][2]byte
	list   []Trial
}

// ErrFiltered is the fate of a trial that a filter of this host dropped.
var ErrFiltered = errors.New("a filter of this host drops it")

// Passes tells of each trial what this host's filters of packets that leave,
// nftables and iptables alike, do with it: its fate is nil if they let it pass,
// ErrFiltered if not, and else why it could not be sent, as where no way leads to
// its destination. The packets are made for real, take the way of all others, and
// are caught behind the last filter, so that nobody outside sees them. All are of
// one family. CAP_NET_ADMIN and CAP_NET_RAW are needed.
func Passes(ctx context.Context, list []Trial) (fates []error, err error) {
	if len(list) == 0 {
		return nil, nil
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("try packets on this host's filters: %w", err)
		}
	}()
	t, err := prepare(list)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.remove()) }()
	unsent := make([]error, len(list))
	for i, trial := range list {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := trial.send(t.marks[i]); err != nil {
			unsent[i] = fmt.Errorf("try a packet to %s by %s: %w", trial.Dst.Addr(), trial.Interface, err)
		}
	}
	return t.fates(unsent)
}

func prepare(list []Trial) (*trials, error) {
	conn, err := dialTables()
	if err != nil {
		return nil, err
	}
	family := familyOf(list[0].Dst.Addr())
	// Two of these must not meet; the name is only for people.
	t := &trials{tables: conn, list: list, table: &nftables.Table{Family: family, Name: "vipd-trial-" + rand.Text()[:8]}}
	first := make([]byte, 2)
	_, _ = rand.Read(first) // it never fails
	for i := range list {
		// Never 0: the kernel would choose an identification itself.
		t.marks = append(t.marks, [2]byte{first[0] | 1, first[1] + byte(i)})
	}
	if err := t.create(); err != nil {
		return nil, errors.Join(err, conn.close())
	}
	if err := t.fill(); err != nil {
		return nil, errors.Join(err, t.remove())
	}
	return t, nil
}

// create makes the table.
func (t *trials) create() error {
	create := tableMessage(unix.NFT_MSG_NEWTABLE, netlink.Create, t.table, tableOwner)
	err := t.tables.transact(create)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) {
		err = t.tables.transact(tableMessage(unix.NFT_MSG_NEWTABLE, netlink.Create, t.table, 0))
	}
	if err != nil {
		return fmt.Errorf("make table %s: %w", t.table.Name, err)
	}
	return nil
}

// fill gives the table its rules.
func (t *trials) fill() error {
	accept := nftables.ChainPolicyAccept
	output := t.tables.conn.AddChain(&nftables.Chain{
		Name: chainTrialOutput, Table: t.table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityRaw, Policy: &accept,
	})
	end := t.tables.conn.AddChain(t.end())
	for i, trial := range t.list {
		if trial.Untracked {
			t.tables.conn.AddRule(&nftables.Rule{Table: t.table, Chain: output, Exprs: rule(t.marked(i), []expr.Any{&expr.Notrack{}})})
		}
		t.tables.conn.AddRule(&nftables.Rule{Table: t.table, Chain: end, Exprs: rule(t.marked(i), []expr.Any{&expr.Counter{}}, drop())})
	}
	if err := t.tables.commit(); err != nil {
		return fmt.Errorf("fill table %s: %w", t.table.Name, err)
	}
	return nil
}

// end is the chain behind all others.
func (t *trials) end() *nftables.Chain {
	accept := nftables.ChainPolicyAccept
	return &nftables.Chain{
		Name: chainTrialEnd, Table: t.table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityRef(priorityLast), Policy: &accept,
	}
}

// marked matches the packet of a trial.
func (t *trials) marked(i int) []expr.Any {
	at := uint32(4)
	if t.table.Family == nftables.TableFamilyIPv6 {
		at = 2
	}
	return rule(
		protocol(t.list[i].Protocol),
		compare(network(at, 2), expr.CmpOpEq, t.marks[i][:]...))
}

// fates reads the counters of the trials that were sent.
func (t *trials) fates(unsent []error) ([]error, error) {
	rules, err := t.tables.conn.GetRules(t.table, t.end())
	if err != nil {
		return nil, fmt.Errorf("read table %s: %w", t.table.Name, err)
	}
	var counted []uint64
	for _, r := range rules {
		for _, e := range r.Exprs {
			if counter, ok := e.(*expr.Counter); ok {
				counted = append(counted, counter.Packets)
			}
		}
	}
	if len(counted) != len(t.list) {
		return nil, fmt.Errorf("table %s: %d of %d rules are there", t.table.Name, len(counted), len(t.list))
	}
	all := slices.Clone(unsent)
	for i, packets := range counted {
		if all[i] == nil && packets == 0 {
			all[i] = ErrFiltered
		}
	}
	return all, nil
}

func (t *trials) remove() error {
	t.tables.conn.DelTable(t.table)
	err := t.tables.commit()
	if errors.Is(err, unix.ENOENT) {
		err = nil // it ended with its socket
	}
	return errors.Join(err, t.tables.close())
}

// send gives the packet to the kernel, header and all (raw(7), IPPROTO_RAW).
func (t Trial) send(mark [2]byte) (err error) {
	family := unix.AF_INET
	var to unix.Sockaddr
	if dst := t.Dst.Addr(); dst.Is4() {
		to = &unix.SockaddrInet4{Addr: dst.As4()}
	} else {
		family, to = unix.AF_INET6, &unix.SockaddrInet6{Addr: dst.As16()}
	}
	fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unix.Close(fd)) }()
	if err := unix.BindToDevice(fd, t.Interface); err != nil {
		return err
	}
	// Whoever drops it, our own rule or a filter, the kernel calls it EPERM.
	if err := unix.Sendto(fd, t.packet(mark), 0, to); err != nil && !errors.Is(err, unix.EPERM) {
		return err
	}
	return nil
}

// Stands tells whether vipd's tables are there, in either family.
func (f *Flow) Stands() (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, family := range families() {
		counted, err := f.tables.look.rules(family)
		if err != nil {
			return false, fmt.Errorf("look for table %s of family %s: %w", tableName, familyName(family), err)
		}
		if len(counted) > 0 {
			return true, nil
		}
	}
	return false, nil
}
