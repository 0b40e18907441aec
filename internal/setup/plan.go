package setup

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/vipd/vipd/config"
)

// The defaults that a wish is completed by.
const (
	apiServerPort = "6443"
	metricsPort   = 9650
)

// Wish is what the operator says of a configuration to be. Only VIPs are
// needed.
type Wish struct {
	// VIPs move together; the first one's family carries the adverts.
	VIPs []netip.Addr
	// Interface is where they are held; empty: that of NodeAddress, else the
	// one with the longest subnet that holds the first VIP.
	Interface string
	// NodeAddress is this node's own; invalid: the interface's, if possible in
	// the subnet of the first VIP.
	NodeAddress netip.Addr
	// Endpoint is kubeadm's controlPlaneEndpoint, host or host:port; empty: the
	// first VIP.
	Endpoint string
	// VRID is 1 to 255; 0: the last byte of the first VIP.
	VRID int
}

// Host is this host.
type Host struct {
	Name       string
	Interfaces []config.Interface
	// DefaultRoute is the interface of the default route; empty: not known.
	DefaultRoute string
}

// Plan is a configuration for one host.
type Plan struct {
	// File is YAML with only the keys that are not defaults. It passes
	// config.Parse, and config.CheckHost on the host.
	File []byte
	// Reasons say what was chosen, why, and how to choose otherwise, one
	// sentence each.
	Reasons []string
	// Endpoint is what kubeadm is to be told, host:port.
	Endpoint string
}

// WishError is a wish that no host could fulfil.
type WishError struct {
	// Flag is the flag of `vipd init` that is wrong.
	Flag string
	// Text says what is wrong and what to write instead.
	Text string
}

func (e *WishError) Error() string { return e.Flag + ": " + e.Text }

// seat is where on a host a VIP belongs.
type seat struct {
	link string
	// own is the node's address there.
	own netip.Addr
	// reasons are those for the two.
	reasons []string
	// ambiguous: another interface would have done, so that the file has to
	// name this one.
	ambiguous bool
}

// New makes a plan. The error is a [WishError] when the wish is wrong by
// itself; any other says why this host cannot fulfil it.
func New(w Wish, h Host) (*Plan, error) {
	if len(w.VIPs) == 0 {
		return nil, &WishError{"--vip", "none was given; give the address that the API servers are to share"}
	}
	endpoint, err := endpointOf(w)
	if err != nil {
		return nil, err
	}
	if b := w.VIPs[0].AsSlice(); w.VRID == 0 && len(b) > 0 && b[len(b)-1] == 0 {
		return nil, &WishError{"--vrid", fmt.Sprintf("the last byte of %s is 0, which is no VRID; give one of 1 to 255 that no other VRRP group on the segment has", w.VIPs[0])}
	}
	// The wish by itself first: what no host could do is not this host's fault.
	if _, err := file(w, Host{Name: h.Name}, seat{link: w.Interface}, endpoint); err != nil {
		return nil, err
	}
	s, err := seatOf(w, h)
	if err != nil {
		return nil, err
	}
	text, err := file(w, h, s, endpoint)
	if err != nil {
		return nil, err
	}
	return &Plan{File: text, Reasons: append(s.reasons, others(w, h, s)...), Endpoint: endpoint.String()}, nil
}

// hostPort is a host, perhaps a name, and its port.
type hostPort struct{ host, port string }

func (e hostPort) String() string { return net.JoinHostPort(e.host, e.port) }

func endpointOf(w Wish) (hostPort, error) {
	if w.Endpoint == "" {
		return hostPort{w.VIPs[0].String(), apiServerPort}, nil
	}
	if a, err := netip.ParseAddr(w.Endpoint); err == nil {
		return hostPort{a.String(), apiServerPort}, nil
	}
	if !strings.Contains(w.Endpoint, ":") {
		return hostPort{w.Endpoint, apiServerPort}, nil
	}
	host, port, err := net.SplitHostPort(w.Endpoint)
	if err != nil {
		return hostPort{}, &WishError{"--endpoint", strconv.Quote(w.Endpoint) + " is not host:port"}
	}
	return hostPort{host, port}, nil
}

// file is the draft, after it was found good for the host.
func file(w Wish, h Host, s seat, endpoint hostPort) ([]byte, error) {
	text, err := draft(w, h, s, endpoint).YAML()
	if err != nil {
		return nil, err
	}
	return text, verify(text, h.Interfaces)
}

// draft is the file: what follows from the wish and the seat, less defaults.
func draft(w Wish, h Host, s seat, endpoint hostPort) *config.Draft {
	d := config.NewDraft(fmt.Sprintf("# vipd on %s, begun by 'vipd init'. Keys that are not here have their defaults:\n# 'vipd check' prints all of them.", h.Name))
	v := d.Element("vips")
	v.Text("name", "apiserver", "")
	addresses := make([]string, len(w.VIPs))
	for i, a := range w.VIPs {
		addresses[i] = a.String()
	}
	v.List("addresses", addresses, "")
	port, err := strconv.Atoi(endpoint.port)
	switch {
	case err != nil: // verify tells it, with the rest of the endpoint
		v.Text("endpoint", endpoint.String(), "")
	case endpoint.port != apiServerPort:
		v.Number("port", port, "of the API servers, and of the endpoint")
	}
	if err == nil && endpoint.host != w.VIPs[0].String() {
		v.Text("endpoint", endpoint.String(), "controlPlaneEndpoint of kubeadm")
	}
	if w.Interface != "" || s.ambiguous {
		v.Text("interface", s.link, "on this host")
	}
	if b := w.VIPs[0].AsSlice(); w.VRID != 0 && w.VRID != int(b[len(b)-1]) {
		v.Section("vrrp").Number("vrid", w.VRID, "the same on all nodes")
	}
	if s.own.IsValid() {
		d.Section("metrics").Text("listen", netip.AddrPortFrom(s.own, metricsPort).String(), "this node's own address, for Prometheus")
	}
	return d
}

// verify reports what is wrong with the file, in words for who typed a command.
func verify(file []byte, host []config.Interface) error {
	c, err := config.Parse("", file)
	if problem, ok := errors.AsType[config.Problem](err); ok {
		return &WishError{flagOf(problem.Key), problem.Text}
	}
	if err != nil {
		return err
	}
	err = config.CheckHost(c, host)
	if problem, ok := errors.AsType[config.Problem](err); ok {
		return errors.New(problem.Text)
	}
	return err
}

// flagOf is the flag that a key was written for.
func flagOf(key string) string {
	for part, flag := range map[string]string{
		".endpoint": "--endpoint", ".port": "--endpoint", ".interface": "--interface", ".vrid": "--vrid", "metrics.listen": "--node-address",
	} {
		if strings.HasSuffix(key, part) {
			return flag
		}
	}
	return "--vip"
}

// others are the reasons for what does not hang on the seat.
func others(w Wish, h Host, s seat) []string {
	var all []string
	if w.VRID == 0 {
		b := w.VIPs[0].AsSlice()
		all = append(all, fmt.Sprintf("The VRRP group has the number (VRID) %d, the last byte of the VIP, which no other group on the segment may have; --vrid chooses another", b[len(b)-1]))
	}
	if h.DefaultRoute != "" && h.DefaultRoute != s.link && s.own.IsValid() {
		all = append(all, fmt.Sprintf("The default route of this host is on %s, where kubeadm and the kubelet look for the node's address: "+
			"give kubeadm localAPIEndpoint.advertiseAddress: %s, and the kubelet --node-ip=%s", h.DefaultRoute, s.own, s.own))
	}
	link := slices.IndexFunc(h.Interfaces, func(i config.Interface) bool { return i.Name == s.link })
	for _, a := range w.VIPs {
		if _, ok := h.Interfaces[link].Subnet(a); !ok {
			all = append(all, fmt.Sprintf("%s has no subnet with %s: only what routes it to this segment reaches it", s.link, a))
		}
	}
	if !s.own.IsValid() {
		return append(all, "Metrics stay on 127.0.0.1: "+s.link+" has only link-local addresses; metrics.listen changes that")
	}
	return append(all, fmt.Sprintf("Metrics are served on %s to all who reach it; metrics.web_config adds TLS and passwords", netip.AddrPortFrom(s.own, metricsPort)))
}
