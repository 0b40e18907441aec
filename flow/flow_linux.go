package flow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ErrUnsupported tells that the kernel has not what keeping connections needs.
// [Flow.Features] names what is missing.
var ErrUnsupported = errors.New("the kernel cannot keep connections")

// Flow is one network namespace's rules, shadows and connection table. It is safe
// for concurrent use; calls wait for each other.
type Flow struct {
	log      *slog.Logger
	features Features
	rulesets map[nftables.TableFamily]*ruleset
	diag     *diag
	now      func() time.Time

	mu       sync.Mutex
	tables   *tables
	route    *netlink.Handle
	conf     *devconf
	loans    *loans
	reserved reservations
	applied  bool
	// quiet and martian are the interfaces that the groups of the last Apply want
	// settings for.
	quiet, martian map[string]bool
	// guests counts, by interface, those who asked for AcceptLocal.
	guests map[string]int
	// strays: a shadow of an earlier life stands.
	strays bool
	// shadows are the addresses held on lo, by the interface they came from.
	shadows map[string]map[netip.Addr]bool
	// expected are the families whose table must be there.
	expected map[nftables.TableFamily]bool
}

// New opens a Flow and probes the kernel, which may load modules for it. memory
// is the path of a small file that keeps the settings of interfaces which were
// changed for a while, so that the next life can put them back after a kill; its
// directory must exist.
func New(log *slog.Logger, memory string) (*Flow, error) {
	f := &Flow{
		log: log, now: time.Now,
		rulesets: map[nftables.TableFamily]*ruleset{},
		reserved: reservations{},
		quiet:    map[string]bool{}, martian: map[string]bool{}, guests: map[string]int{},
		shadows:  map[string]map[netip.Addr]bool{},
		expected: map[nftables.TableFamily]bool{},
	}
	if err := f.open(memory); err != nil {
		return nil, errors.Join(fmt.Errorf("open flow: %w", err), f.Close())
	}
	return f, nil
}

func (f *Flow) open(memory string) error {
	var err error
	if f.tables, err = dialTables(); err != nil {
		return err
	}
	if f.route, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return fmt.Errorf("open rtnetlink: %w", err)
	}
	if f.conf, err = dialDevconf(); err != nil {
		return err
	}
	if f.diag, err = dialDiag(); err != nil {
		return err
	}
	if f.loans, err = loadLoans(memory); err != nil {
		// What an earlier life left behind does no harm.
		f.log.Warn("settings of an earlier life are not known", "error", err)
	}
	f.features = probeAll(f.probes())
	f.tables.own = f.features.FlushProof()
	for _, h := range []headers{headers4(), headers6()} {
		guard := h.family == nftables.TableFamilyIPv4 && f.features.guard()
		if f.rulesets[h.family], err = newRuleset(h, guard); err != nil {
			return err
		}
	}
	return nil
}

// Close closes the sockets. What is in the kernel stays there for its lifetime.
func (f *Flow) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var errs []error
	if f.tables != nil {
		errs = append(errs, f.tables.close())
	}
	if f.route != nil {
		f.route.Close()
	}
	if f.conf != nil {
		errs = append(errs, f.conf.close())
	}
	if f.diag != nil {
		errs = append(errs, f.diag.close())
	}
	return errors.Join(errs...)
}

// Features tells what this kernel can do. It was asked when the Flow was opened.
func (f *Flow) Features() Features { return f.features }

// Remove takes away everything that any life left in the kernel but addresses:
// the tables, neighbour entries and routes of reserved next hops, and changed
// settings of interfaces. It is idempotent.
func (f *Flow) Remove(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("remove the rules: %w", err)
	}
	var errs []error
	for _, family := range families() {
		if f.features.family(family) {
			if err := f.tables.remove(f.rulesets[family]); err != nil {
				errs = append(errs, fmt.Errorf("delete table %s of family %s: %w", tableName, familyName(family), err))
			}
		}
		delete(f.expected, family)
	}
	clear(f.reserved)
	clear(f.quiet)
	clear(f.martian)
	f.applied = true // nothing, and so nothing is needed
	errs = append(errs, f.sweepHops(), f.giveBack())
	return errors.Join(errs...)
}

func families() []nftables.TableFamily {
	return []nftables.TableFamily{nftables.TableFamilyIPv4, nftables.TableFamilyIPv6}
}

// familyName is what nft(8) calls it.
func familyName(f nftables.TableFamily) string {
	if f == nftables.TableFamilyIPv6 {
		return "ip6"
	}
	return "ip"
}

// familyOf is the family of a VIP.
func familyOf(addr netip.Addr) nftables.TableFamily {
	if addr.Is4() {
		return nftables.TableFamilyIPv4
	}
	return nftables.TableFamilyIPv6
}
