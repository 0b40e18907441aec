package lab

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Host is one namespace of the lab.
type Host struct {
	// Name is short and also that of the host's port at the switch: cp1.
	Name string
	// Namespace is what `ip netns exec` wants.
	Namespace string
	// Interface faces the segment: eth0; at the switch it is the bridge.
	Interface string
	// Addr4, Addr6 and MAC are those of Interface; the switch has none.
	Addr4, Addr6 netip.Addr
	MAC          net.HardwareAddr

	lab *Lab
	ns  *namespace
}

// String returns the host's name.
func (h *Host) String() string { return h.Name }

// Dir is where the host keeps its configuration and state: hosts share the
// machine's file system. It is a directory of its own in the lab's, made when
// the lab was built.
func (h *Host) Dir() string { return filepath.Join(h.lab.Dir, h.Name) }

// Do runs f on a thread inside the host's namespace: sockets that f itself
// opens belong to the host and stay so afterwards. Goroutines that f starts are
// elsewhere.
func (h *Host) Do(f func() error) error { return h.ns.do(f) }

// Addresses returns what an interface of the host holds now, both families,
// IPv4 first.
func (h *Host) Addresses(device string) ([]netip.Addr, error) {
	link, err := h.ns.links.LinkByName(device)
	if err != nil {
		return nil, fmt.Errorf("find %s on %s: %w", device, h, err)
	}
	var held []netip.Addr
	for _, family := range []int{syscall.AF_INET, syscall.AF_INET6} {
		addrs, err := h.ns.links.AddrList(link, family)
		if err != nil {
			return nil, fmt.Errorf("list addresses of %s on %s: %w", device, h, err)
		}
		for _, a := range addrs {
			if addr, ok := netip.AddrFromSlice(a.IP); ok {
				held = append(held, addr.Unmap())
			}
		}
	}
	return held, nil
}

// Run runs a short command on the host and returns what it printed on standard
// output. The error of a command that fails holds its standard error.
func (h *Host) Run(ctx context.Context, argv ...string) (string, error) {
	return h.RunInput(ctx, "", argv...)
}

// RunInput is Run with standard input.
func (h *Host) RunInput(ctx context.Context, input string, argv ...string) (string, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...) //nolint:gosec // running commands is what a lab is for
	var out, notes bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &notes
	cmd.WaitDelay = time.Second // once ctx has ended a stray grandchild may hold the output open
	err := h.Do(cmd.Start)      // a child inherits the namespace of the thread that starts it
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return out.String(), fmt.Errorf("run %s on %s: %w: %s", strings.Join(argv, " "), h, err, strings.TrimSpace(notes.String()))
	}
	return out.String(), nil
}
