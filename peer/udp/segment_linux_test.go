package udp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// patience is how long a test waits for what must happen. It is no bound on
// speed: it only ends a test that would wait for ever.
const patience = 20 * time.Second

// Each host has an interface on each of two segments.
const (
	eth0 = "eth0"
	eth1 = "eth1"
)

// A host is a network namespace. Namespaces here have no names: the kernel
// removes them, with all that is in them, when the last descriptor is closed,
// however the test ends.
type host struct {
	ns     netns.NsHandle
	kernel *netlink.Handle
	sw     *netlink.Handle
	number byte
}

// addr is the host's address on an interface. For IPv6 it is link-local, and not
// the same on both.
func (h *host) addr(link string, ipv6 bool) netip.Addr {
	segment := link[len(link)-1] - '0'
	if ipv6 {
		return netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 14: segment, 15: h.number})
	}
	return netip.AddrFrom4([4]byte{192, 0, 2 + segment, h.number})
}

// newSegments makes hosts on two switches.
func newSegments(t testing.TB, count int) []*host {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to make network namespaces")
	}
	_, sw := newNamespace(t)
	hosts := make([]*host, count)
	for i := range hosts {
		h := &host{sw: sw, number: byte(i + 1)}
		h.ns, h.kernel = newNamespace(t)
		must(t, up(h.kernel, "lo"))
		hosts[i] = h
	}
	for _, link := range []string{eth0, eth1} {
		must(t, sw.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br-" + link}}))
		must(t, up(sw, "br-"+link))
		for _, h := range hosts {
			must(t, h.plug(link))
		}
	}
	for _, h := range hosts {
		h.connected(t, eth0)
		h.connected(t, eth1)
	}
	return hosts
}

// plug puts a cable between the host and a switch, with addresses on it.
func (h *host) plug(name string) error {
	bridge, err := h.sw.LinkByName("br-" + name)
	if err != nil {
		return err
	}
	cable := &netlink.Veth{
		LinkAttrs:     netlink.LinkAttrs{Name: h.port(name), MasterIndex: bridge.Attrs().Index},
		PeerName:      name,
		PeerNamespace: netlink.NsFd(h.ns),
	}
	if err := h.sw.LinkAdd(cable); err != nil {
		return err
	}
	link, err := h.kernel.LinkByName(name)
	if err != nil {
		return err
	}
	return errors.Join(
		h.addAddress(link, h.addr(name, false), 24),
		h.addAddress(link, h.addr(name, true), 64),
		up(h.sw, h.port(name)),
		up(h.kernel, name),
	)
}

func (h *host) port(link string) string { return fmt.Sprintf("%s-%d", link, h.number) }

func (h *host) addAddress(link netlink.Link, a netip.Addr, bits int) error {
	return h.kernel.AddrAdd(link, &netlink.Addr{
		IPNet: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(bits, a.BitLen())},
		Flags: unix.IFA_F_NODAD,
	})
}

// unplug deletes an interface of the host.
func (h *host) unplug(name string) error {
	link, err := h.kernel.LinkByName(name)
	if err != nil {
		return err
	}
	return h.kernel.LinkDel(link)
}

// connected waits until both ends of the cable have carrier: the kernel notices
// it, and opens the switch's port, some time after the ends are up.
func (h *host) connected(t testing.TB, name string) {
	t.Helper()
	deadline := time.After(patience)
	for !operational(h.kernel, name) || !operational(h.sw, h.port(name)) {
		select {
		case <-deadline:
			t.Fatalf("waited in vain for %s of host %d", name, h.number)
		case <-time.After(time.Millisecond):
		}
	}
}

func operational(kernel *netlink.Handle, name string) bool {
	link, err := kernel.LinkByName(name)
	return err == nil && link.Attrs().OperState == netlink.OperUp
}

func up(kernel *netlink.Handle, name string) error {
	link, err := kernel.LinkByName(name)
	if err != nil {
		return err
	}
	return kernel.LinkSetUp(link)
}

// run executes a command on the host.
func (h *host) run(t testing.TB, name string, args ...string) {
	t.Helper()
	h.do(t, func() error {
		if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", name, err, out)
		}
		return nil
	})
}

// do calls f on a thread inside the host's namespace.
func (h *host) do(t testing.TB, f func() error) {
	t.Helper()
	must(t, inNamespace(func() error {
		if err := netns.Set(h.ns); err != nil {
			return err
		}
		return f()
	}))
}

func newNamespace(t testing.TB) (ns netns.NsHandle, kernel *netlink.Handle) {
	t.Helper()
	must(t, inNamespace(func() (err error) {
		ns, err = netns.New()
		return err
	}))
	t.Cleanup(func() { must(t, ns.Close()) })
	kernel, err := netlink.NewHandleAt(ns)
	must(t, err)
	t.Cleanup(kernel.Close)
	return ns, kernel
}

// inNamespace calls f, which may change the thread's network namespace, and
// puts the thread back.
func inNamespace(f func() error) error {
	runtime.LockOSThread()
	home, err := netns.Get()
	if err != nil {
		return err
	}
	err = errors.Join(f(), netns.Set(home), home.Close())
	if err == nil {
		// Otherwise the thread may be astray and ends with its goroutine.
		runtime.UnlockOSThread()
	}
	return err
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
