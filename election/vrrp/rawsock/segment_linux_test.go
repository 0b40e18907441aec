package rawsock

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

// eth0 is each host's interface.
const eth0 = "eth0"

// A host is a network namespace with one interface on the segment. Namespaces
// here have no names: the kernel removes them, with all that is in them, when
// the last descriptor is closed, however the test ends.
type host struct {
	ns     netns.NsHandle
	kernel *netlink.Handle
	port   string // the switch's side of the cable
	swNS   netns.NsHandle
	sw     *netlink.Handle
	number byte
	mac    [6]byte
}

func (h *host) ipv4() netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, h.number}) }

func (h *host) ipv6() netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 15: h.number})
}

// addr is the host's address of an IP version: for IPv6 the link-local one, as
// RFC 9568 5.1.2.1 wants it.
func (h *host) addr(ipv6 bool) netip.Addr {
	if ipv6 {
		return h.ipv6()
	}
	return h.ipv4()
}

// newSegment makes hosts on a bridge.
func newSegment(t testing.TB, count int) []*host {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to make network namespaces")
	}
	swNS, sw := newNamespace(t)
	must(t, sw.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}}))
	must(t, up(sw, "br0"))
	hosts := make([]*host, count)
	for i := range hosts {
		h := &host{port: fmt.Sprintf("port%d", i+1), swNS: swNS, sw: sw, number: byte(i + 1)}
		h.ns, h.kernel = newNamespace(t)
		must(t, up(h.kernel, "lo"))
		must(t, h.plug())
		hosts[i] = h
	}
	for _, h := range hosts {
		h.connected(t)
	}
	return hosts
}

// plug puts a cable between the host and the switch, with addresses on it.
func (h *host) plug() error {
	bridge, err := h.sw.LinkByName("br0")
	if err != nil {
		return err
	}
	h.mac = [6]byte{2, 0, 0, 0, 0, h.number}
	cable := &netlink.Veth{
		LinkAttrs:        netlink.LinkAttrs{Name: h.port, MasterIndex: bridge.Attrs().Index},
		PeerName:         eth0,
		PeerHardwareAddr: h.mac[:],
		PeerNamespace:    netlink.NsFd(h.ns),
	}
	if err := h.sw.LinkAdd(cable); err != nil {
		return err
	}
	link, err := h.kernel.LinkByName(eth0)
	if err != nil {
		return err
	}
	return errors.Join(
		h.addAddress(link, h.ipv4(), 24),
		h.addAddress(link, h.ipv6(), 64),
		up(h.sw, h.port),
		up(h.kernel, eth0),
	)
}

func (h *host) addAddress(link netlink.Link, a netip.Addr, bits int) error {
	return h.kernel.AddrAdd(link, &netlink.Addr{
		IPNet: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(bits, a.BitLen())},
		Flags: unix.IFA_F_NODAD,
	})
}

// connected waits until both ends of the host's cable have carrier: the kernel
// notices it, and opens the bridge's port, some time after the ends are up.
func (h *host) connected(t testing.TB) {
	t.Helper()
	deadline := time.After(patience)
	for !operational(h.kernel, eth0) || !operational(h.sw, h.port) {
		select {
		case <-deadline:
			t.Fatalf("waited in vain for the cable of host %d", h.number)
		case <-time.After(time.Millisecond):
		}
	}
}

func operational(kernel *netlink.Handle, name string) bool {
	link, err := kernel.LinkByName(name)
	return err == nil && link.Attrs().OperState == netlink.OperUp
}

// unplug deletes the host's interface.
func (h *host) unplug() error {
	link, err := h.kernel.LinkByName(eth0)
	if err != nil {
		return err
	}
	return h.kernel.LinkDel(link)
}

func up(kernel *netlink.Handle, name string) error {
	return setLink(kernel.LinkSetUp, kernel, name)
}

func down(kernel *netlink.Handle, name string) error {
	return setLink(kernel.LinkSetDown, kernel, name)
}

func setLink(set func(netlink.Link) error, kernel *netlink.Handle, name string) error {
	link, err := kernel.LinkByName(name)
	if err != nil {
		return err
	}
	return set(link)
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
	doIn(t, h.ns, f)
}

func doIn(t testing.TB, ns netns.NsHandle, f func() error) {
	t.Helper()
	must(t, inNamespace(func() error {
		if err := netns.Set(ns); err != nil {
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
