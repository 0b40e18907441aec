package lab

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// Options says how large a lab is.
type Options struct {
	// Hosts is the number of control-plane hosts, named cp1 upwards; at most 80. Zero means 3.
	Hosts int
	// Router adds a router to the segment and the host remote behind it.
	Router bool
	// Dir keeps logs and captures. Empty means a temporary directory that Close removes.
	Dir string
}

// Lab is a running network. Its methods may be called from several goroutines.
type Lab struct {
	// Hosts are the control-plane hosts.
	Hosts []*Host
	// Client is on the same segment as the hosts.
	Client *Host
	// Router and Remote are nil unless asked for. Remote reaches the segment through Router only.
	Router, Remote *Host
	// Pods are what AddPod made.
	Pods []*Host
	// Switch is the namespace of the bridge; its interface br0 sees each forwarded frame.
	Switch *Host
	// Dir holds logs and captures.
	Dir string

	prefix  string // of the namespaces' names
	guard   *guard
	ownsDir bool

	mu     sync.Mutex
	closed bool
	procs  []*Proc
	faults faults
}

// VIP4 and VIP6 are the first addresses on the segment that no host has; more
// follow by address.Next.
func VIP4() netip.Addr { return netip.AddrFrom4([4]byte{10, 77, 0, 100}) }

// VIP6 is the IPv6 counterpart of VIP4.
func VIP6() netip.Addr { return netip.MustParseAddr("fd77::100") }

// New builds a lab. On an error nothing of it is left behind.
func New(opts Options) (*Lab, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("build lab: network namespaces need root")
	}
	if opts.Hosts == 0 {
		opts.Hosts = 3
	}
	l := &Lab{Dir: opts.Dir}
	if err := l.build(opts); err != nil {
		return nil, errors.Join(fmt.Errorf("build lab: %w", err), l.Close())
	}
	return l, nil
}

func (l *Lab) build(opts Options) error {
	prefix := newName()
	if l.Dir == "" {
		dir, err := os.MkdirTemp("", prefix+"-")
		if err != nil {
			return err
		}
		l.Dir, l.ownsDir = dir, true
	}
	removable := ""
	if l.ownsDir {
		removable = l.Dir
	}
	guard, err := startGuard(prefix, removable)
	if err != nil {
		return err
	}
	l.guard, l.prefix = guard, prefix
	return l.wire(prefix, opts)
}

// newName returns a name that no other lab on this machine has.
func newName() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return "lab" + hex.EncodeToString(b[:])
}

// Close kills every process of the lab and removes its namespaces and, unless
// it was given, its directory. It is idempotent.
func (l *Lab) Close() error {
	l.mu.Lock()
	procs, closed := l.procs, l.closed
	l.procs, l.closed = nil, true
	l.mu.Unlock()
	if closed {
		return nil
	}
	errs := make([]error, 0, len(procs))
	for _, p := range procs {
		errs = append(errs, p.Kill())
	}
	for _, p := range procs {
		<-p.Done()
	}
	for _, h := range l.all() {
		errs = append(errs, h.ns.close())
	}
	if l.guard != nil {
		errs = append(errs, l.guard.release())
	}
	if l.ownsDir {
		errs = append(errs, os.RemoveAll(l.Dir))
	}
	return errors.Join(errs...)
}

// all returns every namespace of the lab that exists so far.
func (l *Lab) all() []*Host {
	var hosts []*Host
	for _, h := range slices.Concat([]*Host{l.Switch, l.Client, l.Router, l.Remote}, l.Hosts, l.Pods) {
		if h != nil {
			hosts = append(hosts, h)
		}
	}
	return hosts
}

// Processes returns the processes started so far, ended ones included, in order.
func (l *Lab) Processes() []*Proc {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]*Proc(nil), l.procs...)
}

// adopt makes p one of the processes that Close kills. It kills it at once if
// the lab is closed already.
func (l *Lab) adopt(p *Proc) {
	l.mu.Lock()
	closed := l.closed
	l.procs = append(l.procs, p)
	l.mu.Unlock()
	if closed {
		_ = p.Kill() // a process that has ended by itself meanwhile is as good
	}
}

// createFile opens a new file in Dir named for a host and what it holds. A
// second one of the same name gets a number.
func (l *Lab) createFile(host, name, ext string) (*os.File, error) {
	for n := 1; ; n++ {
		path := filepath.Join(l.Dir, fmt.Sprintf("%s-%s%s", host, name, ext))
		if n > 1 {
			path = filepath.Join(l.Dir, fmt.Sprintf("%s-%s-%d%s", host, name, n, ext))
		}
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600) //nolint:gosec // in the lab's own directory
		if errors.Is(err, os.ErrExist) {
			continue
		}
		return f, err
	}
}
