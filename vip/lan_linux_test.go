package vip

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	mathrand "math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/vishvananda/netns"
)

// patience is how long a test waits for what must happen before it fails.
const patience = 20 * time.Second

// host is a network namespace.
type host struct {
	t    *testing.T
	name string
	ns   netns.NsHandle
}

// newHost makes a network namespace that is removed when the test ends.
func newHost(t *testing.T) host {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	name := "vipd-vip-" + strings.ToLower(rand.Text()[:10])
	run(t, "ip", "netns", "add", name)
	t.Cleanup(func() { run(t, "ip", "netns", "del", name) })
	ns, err := netns.GetFromName(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	return host{t: t, name: name, ns: ns}
}

// newSegment makes a node (macA) and a peer (macB), joined eth0 to eth0, each
// with an address of both families.
func newSegment(t *testing.T) (node, peer host) {
	t.Helper()
	node, peer = newHost(t), newHost(t)
	node.join(peer)
	return node, peer
}

// join lays a cable from h's eth0 to peer's eth0 and gives both their addresses.
func (h host) join(peer host) {
	h.t.Helper()
	// The kernel is slow, up to a second, to notice carrier on an interface whose
	// other end has the same index in its own namespace.
	index := 2 * (1 + mathrand.IntN(1<<20))
	h.ip("link", "add", "eth0", "index", strconv.Itoa(index), "address", macA.String(), "type", "veth",
		"peer", "name", "eth0", "index", strconv.Itoa(index+1), "netns", peer.name, "address", macB.String())
	for _, end := range []struct {
		host
		four, six string
	}{{h, "192.0.2.11/24", "2001:db8::11/64"}, {peer, "192.0.2.20/24", "2001:db8::20/64"}} {
		// Link-local addresses are usable at once.
		end.sysctl("net/ipv6/conf/eth0/accept_dad", "0")
		end.ip("addr", "add", end.four, "dev", "eth0")
		end.ip("addr", "add", end.six, "dev", "eth0")
		end.ip("link", "set", "eth0", "up")
	}
	for _, end := range []host{h, peer} {
		await(h.t, "IPv6 to be ready", func() bool { return strings.Contains(end.ip("addr", "show", "dev", "eth0"), "fe80:") })
	}
}

// do runs fn on a thread that is in the namespace.
func (h host) do(fn func()) {
	h.t.Helper()
	runtime.LockOSThread()
	home, err := netns.Get()
	if err != nil {
		h.t.Fatal(err)
	}
	defer home.Close()
	if err := netns.Set(h.ns); err != nil {
		h.t.Fatal(err)
	}
	defer func() {
		// A thread that cannot go home stays locked and dies with its goroutine.
		if err := netns.Set(home); err == nil {
			runtime.UnlockOSThread()
		}
	}()
	fn()
}

// start runs fn in the namespace in the background, until the test ends. fn must
// return nil when its context ends.
func (h host) start(fn func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread dies
		if err := netns.Set(h.ns); err != nil {
			ended <- err
			return
		}
		ended <- fn(ctx)
	}()
	h.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			h.t.Errorf("in the background: %v", err)
		}
	})
}

// ip runs ip(8) in the namespace.
func (h host) ip(args ...string) string {
	h.t.Helper()
	return run(h.t, "ip", append([]string{"-n", h.name}, args...)...)
}

// sysctl writes a kernel parameter of the namespace.
func (h host) sysctl(key, value string) {
	h.t.Helper()
	h.do(func() {
		if err := os.WriteFile(filepath.Join("/proc/sys", key), []byte(value), 0o644); err != nil {
			h.t.Fatal(err)
		}
	})
}

// listed is an address as ip(8) tells it.
type listed struct {
	Local         string `json:"local"`
	Length        int    `json:"prefixlen"`
	NoPrefixRoute bool   `json:"noprefixroute"`
	NoDAD         bool   `json:"nodad"`
	Deprecated    bool   `json:"deprecated"`
	Dynamic       bool   `json:"dynamic"`
	DADFailed     bool   `json:"dadfailed"`
	Tentative     bool   `json:"tentative"`
}

// addresses lists the interface's addresses other than link-local ones.
func (h host) addresses(ifname string) []listed {
	h.t.Helper()
	var links []struct {
		Addresses []listed `json:"addr_info"`
	}
	h.decode(&links, "-d", "addr", "show", "dev", ifname)
	var all []listed
	for _, link := range links {
		for _, a := range link.Addresses {
			if !strings.HasPrefix(a.Local, "fe80:") {
				all = append(all, a)
			}
		}
	}
	return all
}

// remaining is the valid lifetime of an address.
func (h host) remaining(ifname string, addr netip.Addr) time.Duration {
	h.t.Helper()
	var links []struct {
		Addresses []struct {
			Local string `json:"local"`
			Valid int64  `json:"valid_life_time"`
		} `json:"addr_info"`
	}
	h.decode(&links, "addr", "show", "dev", ifname)
	for _, link := range links {
		for _, a := range link.Addresses {
			if a.Local == addr.String() {
				return time.Duration(a.Valid) * time.Second
			}
		}
	}
	h.t.Fatalf("%s has no %s", ifname, addr)
	return 0
}

// vips lists which of the test's VIPs are on eth0.
func (h host) vips() []string {
	h.t.Helper()
	var there []string
	for _, a := range h.addresses("eth0") {
		if a.Local == vip4.String() || a.Local == vip6.String() {
			there = append(there, fmt.Sprintf("%s/%d", a.Local, a.Length))
		}
	}
	return there
}

// decode reads what ip(8) tells as JSON.
func (h host) decode(into any, args ...string) {
	h.t.Helper()
	text := h.ip(append([]string{"-j"}, args...)...)
	if err := json.Unmarshal([]byte(text), into); err != nil {
		h.t.Fatalf("ip %v: %v in %q", args, err, text)
	}
}

// await waits until cond holds.
func await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// recorder keeps what Watch tells.
type recorder struct {
	t      *testing.T
	events chan Event
}

// watch starts a Watch on the host and waits for its first listing.
func (h host) watch() recorder {
	h.t.Helper()
	r := recorder{t: h.t, events: make(chan Event, 4096)}
	h.start(func(ctx context.Context) error {
		return Watch(ctx, func(e Event) { r.events <- e })
	})
	r.until("the first listing", isSynced)
	return r
}

// until returns the events up to the one that is waited for, which is the last.
func (r recorder) until(what string, wanted func(Event) bool) []Event {
	r.t.Helper()
	var events []Event
	timeout := time.After(patience)
	for {
		select {
		case e := <-r.events:
			if events = append(events, e); wanted(e) {
				return events
			}
		case <-timeout:
			r.t.Fatalf("waited in vain: %s; told until then: %+v", what, events)
		}
	}
}

// changed matches the state of the interface by that name.
func changed(name string, matches func(Interface) bool) func(Event) bool {
	return func(e Event) bool {
		c, ok := e.(InterfaceChanged)
		return ok && c.Interface.Name == name && matches(c.Interface)
	}
}

// has tells whether the interface has an address that matches.
func has(i Interface, matches func(Address) bool) bool {
	for _, a := range i.Addrs {
		if matches(a) {
			return true
		}
	}
	return false
}

func isSynced(e Event) bool {
	_, ok := e.(Synced)
	return ok
}

// byLocal compares lists of addresses whatever their order.
var byLocal = cmpopts.SortSlices(func(a, b listed) bool { return a.Local < b.Local })
