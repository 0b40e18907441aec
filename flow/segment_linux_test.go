package flow

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netns"
)

// patience is how long a test waits for what must happen before it fails.
const patience = 20 * time.Second

// The VIPs of the test segment, and the port that matters.
var (
	vip4 = netip.MustParseAddr("192.0.2.10")
	vip6 = netip.MustParseAddr("2001:db8::10")
	vips = []netip.Addr{vip4, vip6}
)

const testPort = 6443

// segment is a switch with hosts on it, each in a network namespace.
type segment struct {
	t      *testing.T
	number int // of the last host
	wire   host
}

// newSegment makes a switch without hosts.
func newSegment(t *testing.T) *segment {
	t.Helper()
	s := &segment{t: t, number: 10, wire: newHost(t, "switch")}
	s.wire.ip("link", "add", "br0", "type", "bridge", "forward_delay", "0", "mcast_snooping", "0")
	s.wire.ip("link", "set", "br0", "up")
	return s
}

// host adds a host with addresses of both families on eth0.
func (s *segment) host(name string) host {
	s.t.Helper()
	s.number++
	h := newHost(s.t, name)
	h.addr4 = netip.AddrFrom4([4]byte{192, 0, 2, byte(s.number)})
	h.addr6 = netip.MustParseAddr(fmt.Sprintf("2001:db8::%d", s.number))
	// The kernel is slow to notice carrier when both ends have the same index.
	s.wire.ip("link", "add", "port"+name, "index", strconv.Itoa(1000+s.number), "type", "veth",
		"peer", "name", "eth0", "netns", h.name, "address", fmt.Sprintf("02:00:00:00:00:%02x", s.number))
	s.wire.ip("link", "set", "port"+name, "master", "br0", "up")
	h.sysctl("net/ipv6/conf/eth0/accept_dad", "0")
	h.ip("addr", "add", h.addr4.String()+"/24", "dev", "eth0")
	h.ip("addr", "add", h.addr6.String()+"/64", "dev", "eth0", "nodad")
	h.ip("link", "set", "eth0", "up")
	await(s.t, name+" to be ready", func() bool {
		shown := h.ip("addr", "show", "dev", "eth0")
		return strings.Contains(shown, "fe80:") && !strings.Contains(shown, "tentative")
	})
	return h
}

// host is a network namespace.
type host struct {
	t            testing.TB
	name         string
	ns           netns.NsHandle
	addr4, addr6 netip.Addr
}

// newHost makes a network namespace that is removed when the test ends.
func newHost(t testing.TB, role string) host {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	name := "vipd-flow-" + strings.ToLower(role+"-"+rand.Text()[:10])
	command(t, "ip", "netns", "add", name)
	t.Cleanup(func() { command(t, "ip", "netns", "del", name) })
	ns, err := netns.GetFromName(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	h := host{t: t, name: name, ns: ns}
	h.ip("link", "set", "lo", "up")
	return h
}

// do runs fn on a thread that is in the namespace.
func (h host) do(fn func()) {
	runtime.LockOSThread()
	home, err := netns.Get()
	if err != nil {
		panic(err)
	}
	defer home.Close()
	if err := netns.Set(h.ns); err != nil {
		panic(err)
	}
	defer func() {
		// A thread that cannot go home stays locked and dies with its goroutine.
		if err := netns.Set(home); err == nil {
			runtime.UnlockOSThread()
		}
	}()
	fn()
}

// flow opens a Flow on the host.
func (h host) flow() *Flow {
	h.t.Helper()
	return h.flowRemembering(filepath.Join(h.t.TempDir(), "settings.json"))
}

func (h host) flowRemembering(memory string) *Flow {
	h.t.Helper()
	var f *Flow
	h.do(func() {
		var err error
		if f, err = New(slog.New(slog.DiscardHandler), memory); err != nil {
			h.t.Fatal(err)
		}
	})
	h.t.Cleanup(func() { f.Close() })
	if len(f.Features().Missing) > 0 {
		h.t.Skip("this kernel has not all: ", f.Features())
	}
	return f
}

// ip runs ip(8) in the namespace.
func (h host) ip(args ...string) string {
	h.t.Helper()
	return command(h.t, "ip", append([]string{"-n", h.name}, args...)...)
}

// run runs a program in the namespace.
func (h host) run(name string, args ...string) string {
	h.t.Helper()
	return command(h.t, "ip", append([]string{"netns", "exec", h.name, name}, args...)...)
}

// nft loads rules in the namespace.
func (h host) nft(rules string) {
	h.t.Helper()
	path := filepath.Join(h.t.TempDir(), "rules.nft")
	if err := os.WriteFile(path, []byte(rules), 0o600); err != nil {
		h.t.Fatal(err)
	}
	h.run("nft", "-f", path)
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

// readSysctl reads a kernel parameter of the namespace.
func (h host) readSysctl(key string) string {
	h.t.Helper()
	var value []byte
	h.do(func() {
		var err error
		if value, err = os.ReadFile(filepath.Join("/proc/sys", key)); err != nil {
			h.t.Fatal(err)
		}
	})
	return strings.TrimSpace(string(value))
}

// node is the host as a next hop by its addresses.
func (h host) node() Node { return Node{V4: NextHop{Addr: h.addr4}, V6: NextHop{Addr: h.addr6}} }

// await waits until cond holds.
func await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func command(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}
