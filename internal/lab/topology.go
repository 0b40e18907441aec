package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// bridgeName is the bridge in the switch's namespace.
const bridgeName = "br0"

// firstPortIndex is where interface numbers of the switch's ports begin. A veth
// whose two ends bear the same number in their namespaces is mistaken by the
// kernel (linkwatch_urgent_event) for a plain device, whose carrier changes are
// announced only once a second.
const firstPortIndex = 1000

// wire builds all namespaces and the links between them.
func (l *Lab) wire(prefix string, opts Options) error {
	if opts.Hosts > 80 { // 10.77.0.11 to .90 stay below the VIPs
		return fmt.Errorf("%d hosts: at most 80 fit on the segment", opts.Hosts)
	}
	var err error
	if l.Switch, err = l.newSwitch(prefix); err != nil {
		return err
	}
	for i := range opts.Hosts {
		h, err := l.newHost(prefix, fmt.Sprintf("cp%d", i+1), segment(11+i), nil)
		if h != nil {
			l.Hosts = append(l.Hosts, h)
		}
		if err != nil {
			return err
		}
	}
	widePorts := []sysctl{{"net/ipv4/ip_local_port_range", "1024 65535"}} // 500 fresh connections a second for two minutes
	if l.Client, err = l.newHost(prefix, "client", segment(200), widePorts); err != nil {
		return err
	}
	if opts.Router {
		if err := l.addRouter(prefix, widePorts); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for _, h := range l.plugged() {
		if err := l.awaitCable(ctx, h); err != nil {
			return err
		}
	}
	if l.Remote != nil {
		if err := errors.Join(awaitUp(ctx, l.Router.ns, "eth1"), awaitUp(ctx, l.Remote.ns, l.Remote.Interface)); err != nil {
			return err
		}
	}
	return l.awaitLinkLocal(ctx)
}

// subnet is a host's place in one of the lab's two networks.
type subnet struct {
	four, six netip.Prefix
	mac       net.HardwareAddr
}

// segment is the place of host number n behind the switch: n is the last part
// of both addresses as they are written.
func segment(n int) subnet { return place(77, n) }

// place gives 10.NET.0.n/24, fdNET::n/64 and a MAC that shows both numbers in hexadecimal.
func place(network, n int) subnet {
	return subnet{
		four: netip.MustParsePrefix(fmt.Sprintf("10.%d.0.%d/24", network, n)),
		six:  netip.MustParsePrefix(fmt.Sprintf("fd%d::%d/64", network, n)),
		mac:  net.HardwareAddr{0x02, 0, 0, 0, byte(network), byte(n)},
	}
}

// newSwitch makes the namespace of the bridge. Without spanning tree a port
// forwards as soon as it has carrier; without snooping multicast reaches all.
func (l *Lab) newSwitch(prefix string) (*Host, error) {
	ns, err := newNamespace(prefix+"-switch", func() error {
		return set([]sysctl{{"net/ipv6/conf/default/disable_ipv6", "1"}}) // the bridge itself says nothing
	})
	if err != nil {
		return nil, err
	}
	sw := &Host{Name: "switch", Namespace: ns.name, Interface: bridgeName, lab: l, ns: ns}
	snooping := false
	bridge := &netlink.Bridge{LinkAttrs: netlink.NewLinkAttrs(), MulticastSnooping: &snooping}
	bridge.Name = bridgeName
	if err := ns.links.LinkAdd(bridge); err != nil {
		return sw, fmt.Errorf("add bridge: %w", err)
	}
	return sw, up(ns, bridgeName)
}

// newHost makes a host and plugs it into the switch. The host is returned with
// an error too, when it exists.
func (l *Lab) newHost(prefix, name string, at subnet, more []sysctl) (*Host, error) {
	h, err := l.newNode(prefix, name, more)
	if err != nil {
		return h, err
	}
	bridge, err := l.Switch.ns.links.LinkByName(bridgeName)
	if err != nil {
		return h, fmt.Errorf("find bridge: %w", err)
	}
	port := veth(name, firstPortIndex+int(at.mac[5]), h.ns, at.mac)
	port.MasterIndex = bridge.Attrs().Index
	if err := connect(l.Switch.ns, port, h.ns, at); err != nil {
		return h, err
	}
	h.Addr4, h.Addr6, h.MAC = at.four.Addr(), at.six.Addr(), at.mac
	return h, nil
}

// newNode makes a namespace with the sysctls of a host and its loopback up. The
// host is returned with an error too, when it exists.
func (l *Lab) newNode(prefix, name string, more []sysctl) (*Host, error) {
	settings := append([]sysctl{
		{"net/ipv6/conf/all/disable_ipv6", "0"},
		{"net/ipv6/conf/default/disable_ipv6", "0"},
		{"net/ipv6/conf/lo/disable_ipv6", "0"},
		{"net/ipv6/conf/all/accept_dad", "0"}, // addresses, link-local ones included, are usable at once
		{"net/ipv6/conf/default/accept_dad", "0"},
		{"net/ipv6/conf/default/accept_ra", "0"},
		{"net/ipv6/conf/default/router_solicitations", "0"},
		{"net/ipv4/conf/all/rp_filter", "2"}, // loose, as systemd sets it
		{"net/ipv4/conf/default/rp_filter", "2"},
	}, more...)
	ns, err := newNamespace(prefix+"-"+name, func() error { return set(settings) })
	if err != nil {
		return nil, err
	}
	h := &Host{Name: name, Namespace: ns.name, Interface: "eth0", lab: l, ns: ns}
	if err := os.MkdirAll(h.Dir(), 0o750); err != nil {
		return h, err
	}
	return h, up(ns, "lo")
}

// addRouter puts a router on the segment, the host remote behind it, and
// default routes towards it everywhere.
func (l *Lab) addRouter(prefix string, widePorts []sysctl) error {
	var err error
	forwarding := []sysctl{{"net/ipv4/ip_forward", "1"}, {"net/ipv6/conf/all/forwarding", "1"}}
	if l.Router, err = l.newHost(prefix, "router", segment(1), forwarding); err != nil {
		return err
	}
	if l.Remote, err = l.newNode(prefix, "remote", widePorts); err != nil {
		return err
	}
	inside, outside := place(78, 1), place(78, 10)
	link := veth("eth1", firstPortIndex, l.Remote.ns, outside.mac)
	link.HardwareAddr = inside.mac
	if err := connect(l.Router.ns, link, l.Remote.ns, outside); err != nil {
		return err
	}
	if err := address(l.Router.ns, "eth1", inside); err != nil {
		return err
	}
	l.Remote.Addr4, l.Remote.Addr6, l.Remote.MAC = outside.four.Addr(), outside.six.Addr(), outside.mac
	for _, h := range append([]*Host{l.Client}, l.Hosts...) {
		if err := defaultRoute(h.ns, segment(1)); err != nil {
			return err
		}
	}
	return defaultRoute(l.Remote.ns, inside)
}

// veth describes a link from a namespace to eth0 of another.
func veth(name string, index int, peer *namespace, peerMAC net.HardwareAddr) *netlink.Veth {
	v := netlink.NewVeth(netlink.LinkAttrs{Name: name, Index: index, TxQLen: -1})
	v.PeerName, v.PeerHardwareAddr, v.PeerNamespace = "eth0", peerMAC, netlink.NsFd(peer.handle)
	return v
}

// connect creates the link in from and brings both ends up, eth0 in to with its
// addresses.
func connect(from *namespace, link *netlink.Veth, to *namespace, at subnet) error {
	if err := from.links.LinkAdd(link); err != nil {
		return fmt.Errorf("connect %s to %s: %w", to.name, from.name, err)
	}
	if err := address(to, "eth0", at); err != nil {
		return err
	}
	if err := up(to, "eth0"); err != nil {
		return err
	}
	return up(from, link.Name)
}

// up sets an interface up.
func up(ns *namespace, name string) error {
	link, err := ns.links.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find %s in %s: %w", name, ns.name, err)
	}
	if err := ns.links.LinkSetUp(link); err != nil {
		return fmt.Errorf("set %s up in %s: %w", name, ns.name, err)
	}
	return nil
}

// address adds both addresses of a place to an interface.
func address(ns *namespace, name string, at subnet) error {
	link, err := ns.links.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find %s in %s: %w", name, ns.name, err)
	}
	for _, prefix := range []netip.Prefix{at.four, at.six} {
		addr := &netlink.Addr{IPNet: &net.IPNet{
			IP:   prefix.Addr().AsSlice(),
			Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen()),
		}}
		if prefix.Addr().Is6() {
			addr.Flags = unix.IFA_F_NODAD
		}
		if err := ns.links.AddrAdd(link, addr); err != nil {
			return fmt.Errorf("add %s to %s in %s: %w", prefix, name, ns.name, err)
		}
	}
	return nil
}

// defaultRoute sends everything else to the router at gateway, both families.
func defaultRoute(ns *namespace, gateway subnet) error {
	for _, addr := range []netip.Addr{gateway.four.Addr(), gateway.six.Addr()} {
		if err := ns.links.RouteAdd(&netlink.Route{Gw: addr.AsSlice()}); err != nil {
			return fmt.Errorf("route by %s in %s: %w", addr, ns.name, err)
		}
	}
	return nil
}

// plugged returns the hosts that have a port at the switch.
func (l *Lab) plugged() []*Host {
	return slices.DeleteFunc(l.all(), func(h *Host) bool { return h == l.Switch || h == l.Remote || slices.Contains(l.Pods, h) })
}

// awaitCable waits until the cable of a host whose port is up works. The
// kernel's link watch tells a bridge and a queue of their carrier some time
// after it came; they lose all frames until then.
func (l *Lab) awaitCable(ctx context.Context, h *Host) error {
	if err := awaitUp(ctx, l.Switch.ns, h.Name); err != nil {
		return err
	}
	return awaitUp(ctx, h.ns, h.Interface)
}

// awaitUp waits until an interface is up in the sense of RFC 2863.
func awaitUp(ctx context.Context, ns *namespace, name string) error {
	return Await(ctx, fmt.Sprintf("%s to work in %s", name, ns.name), func() error {
		link, err := ns.links.LinkByName(name)
		if err != nil {
			return err
		}
		if state := link.Attrs().OperState; state != netlink.OperUp {
			return fmt.Errorf("it is %s", state)
		}
		return nil
	})
}

// awaitLinkLocal waits until each eth0 has carrier and a usable link-local
// address, which the kernel adds a moment after carrier.
func (l *Lab) awaitLinkLocal(ctx context.Context) error {
	for _, h := range l.all() {
		if h == l.Switch {
			continue
		}
		err := Await(ctx, h.Name+" to have a link-local address", func() error {
			addrs, err := h.Addresses(h.Interface)
			for _, a := range addrs {
				if a.Is6() && a.IsLinkLocalUnicast() {
					return nil
				}
			}
			return errors.Join(errors.New("none yet"), err)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
