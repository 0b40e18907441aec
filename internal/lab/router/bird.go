package router

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/vipd/vipd/internal/lab"
)

// BIRD is BIRD 2.
type BIRD struct {
	host *lab.Host
	dir  string
	proc *lab.Proc
}

// StartBIRD starts BIRD on a host. It returns when it answers.
func StartBIRD(ctx context.Context, h *lab.Host, p Peering) (*BIRD, error) {
	return StartBIRDAs(ctx, h, birdConfig(p))
}

// StartBIRDAs is StartBIRD with a configuration as an operator writes it.
func StartBIRDAs(ctx context.Context, h *lab.Host, config string) (*BIRD, error) {
	b := &BIRD{host: h, dir: filepath.Join(h.Dir(), "bird")}
	if err := os.MkdirAll(b.dir, 0o750); err != nil {
		return nil, fmt.Errorf("start BIRD on %s: %w", h, err)
	}
	file := filepath.Join(b.dir, "bird.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, fmt.Errorf("start BIRD on %s: %w", h, err)
	}
	var err error
	if b.proc, err = h.Start("bird", "bird", "-f", "-c", file, "-s", b.socket()); err != nil {
		return nil, err
	}
	err = lab.AwaitEvery(ctx, 20*time.Millisecond, "bird to answer", func() error {
		_, err := b.Show(ctx, "show status")
		return err
	})
	if err != nil {
		return nil, errors.Join(err, b.Kill())
	}
	return b, nil
}

func (b *BIRD) socket() string { return filepath.Join(b.dir, "bird.ctl") }

// birdConfig is for nodes that come and go, by the rules of the guide in
// docs/bgp.md. BIRD honours GRACEFUL_SHUTDOWN only where a filter says so.
func birdConfig(p Peering) string {
	var l lines
	l.add("log stderr all;\nrouter id 10.255.1.%d;", p.ASN%250+1)
	l.add("protocol device { scan time 1; }")
	l.add("protocol direct { ipv4; ipv6; interface \"eth*\"; }")
	if p.OfLo {
		l.add("protocol direct lo { ipv4; ipv6; interface \"lo\"; }")
	}
	l.add("filter nodes { if (65535, 0) ~ bgp_community then bgp_local_pref = 0; accept; }")
	for _, family := range []string{"ipv4", "ipv6"} {
		if p.Multihop > 0 {
			break // it does not know the way to the next hops, which is the kernel's
		}
		l.add("protocol kernel { %s { import none; export filter { if source = RTS_BGP then accept; reject; }; }; merge paths on; }", family)
	}
	for i, network := range p.Networks {
		family := "ipv4"
		if network.Addr().Is6() {
			family = "ipv6"
		}
		l.add("protocol static own%d { %s; route %s unreachable; }", i, family, network)
	}
	if p.BFD != nil {
		l.add("protocol bfd {")
		if p.StrictBind {
			l.add(" strict bind yes;")
		}
		for _, kind := range []string{"interface \"*\"", "multihop"} {
			l.add(" %s { min rx interval %d ms; min tx interval %d ms; idle tx interval 1 s; multiplier %d; };",
				kind, p.BFD.Interval.Milliseconds(), p.BFD.Interval.Milliseconds(), p.BFD.Multiplier)
		}
		l.add("}")
	}
	for i, n := range p.Nodes {
		port := ""
		if p.Port != 0 {
			port = fmt.Sprintf("port %d ", p.Port)
		}
		l.add("protocol bgp node%d {\n local %sas %d;\n neighbor %s as %d;", i, port, p.ASN, n.Address, n.ASN)
		if !p.Connects {
			l.add(" passive on;")
		}
		l.add(" error wait time 1, 10;\n connect delay time 1;")
		if p.Multihop > 0 {
			l.add(" multihop %d;", p.Multihop)
		} else {
			l.add(" direct;")
		}
		if p.TTLSecurity {
			l.add(" ttl security on;")
		}
		if p.Source.IsValid() {
			l.add(" source address %s;", p.Source)
		}
		if p.Hold != 0 {
			l.add(" hold time %d;", int(p.Hold.Seconds()))
		}
		if p.Password != "" {
			l.add(" password %q;", p.Password)
		}
		if p.BFD != nil {
			l.add(" bfd on;")
		}
		if p.GracefulRestart {
			l.add(" graceful restart on;")
		}
		for _, family := range []string{"ipv4", "ipv6"} {
			l.add(" %s { import filter nodes; export where source = RTS_STATIC || proto = \"lo\"; };", family)
		}
		l.add("}")
	}
	return l.String()
}

// Show implements Router.
func (b *BIRD) Show(ctx context.Context, command string) (string, error) {
	return b.host.Run(ctx, append([]string{"birdc", "-s", b.socket()}, strings.Fields(command)...)...)
}

// Host implements Router.
func (b *BIRD) Host() *lab.Host { return b.host }

// Kill implements Router.
func (b *BIRD) Kill() error {
	err := b.proc.Kill()
	<-b.proc.Done()
	return err
}

// Established implements Router.
func (b *BIRD) Established(ctx context.Context) ([]netip.Addr, error) {
	text, err := b.Show(ctx, "show protocols all")
	if err != nil {
		return nil, err
	}
	var all []netip.Addr
	var established bool
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		switch {
		case len(fields) >= 6 && fields[1] == "BGP":
			established = fields[len(fields)-1] == "Established"
		case established && strings.Contains(line, "Neighbor address:"):
			if addr, err := netip.ParseAddr(fields[len(fields)-1]); err == nil {
				all = append(all, addr)
			}
		}
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return all, nil
}

// Routes implements Router, by the kernel: that is what packets follow.
func (b *BIRD) Routes(ctx context.Context, prefix netip.Prefix) ([]netip.Addr, error) {
	family := "-4"
	if prefix.Addr().Is6() {
		family = "-6"
	}
	text, err := b.host.Run(ctx, "ip", family, "route", "show", prefix.Addr().String())
	if err != nil {
		return nil, err
	}
	var hops []netip.Addr
	fields := strings.Fields(text)
	for i, word := range fields {
		if word != "via" || i+1 == len(fields) {
			continue
		}
		hop, err := netip.ParseAddr(fields[i+1])
		if err != nil {
			return nil, fmt.Errorf("read routes of %s: %w", b.host, err)
		}
		hops = append(hops, hop)
	}
	slices.SortFunc(hops, netip.Addr.Compare)
	return hops, nil
}

// BFD implements Router.
func (b *BIRD) BFD(ctx context.Context) (map[netip.Addr]string, error) {
	text, err := b.Show(ctx, "show bfd sessions")
	if err != nil {
		return nil, err
	}
	all := map[netip.Addr]string{}
	for line := range strings.Lines(text) {
		// IP address, interface, state, since, interval, timeout
		fields := strings.Fields(line)
		if len(fields) < 3 {
			continue
		}
		if addr, err := netip.ParseAddr(fields[0]); err == nil {
			all[addr] = strings.ToLower(fields[2])
		}
	}
	return all, nil
}
