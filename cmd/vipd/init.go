package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/vipd/vipd/internal/setup"
)

// initFlags are the flags of `vipd init`.
type initFlags struct {
	vips         []string
	nodeAddress  string
	wish         setup.Wish
	write, force bool
}

func newInitCommand(g *globals) *cobra.Command {
	var f initFlags
	command := &cobra.Command{
		Use:   "init --vip ADDRESS",
		Short: "Write a configuration for this host",
		Long: "Print a configuration for this host: only the keys that are not defaults. The interface and\n" +
			"this node's address are chosen by the subnet of the VIP, not by the default route; what was\n" +
			"chosen, and why, goes to standard error. With --write the configuration goes to the file that\n" +
			"--config names, which must not exist.",
		RunE: func(*cobra.Command, []string) error { return g.init(f) },
	}
	flags := command.Flags()
	flags.StringSliceVar(&f.vips, "vip", nil, "`address` that the API servers share; again for one of the other family")
	flags.StringVar(&f.wish.Interface, "interface", "", "`interface` that holds it (default: the one whose subnet it is in)")
	flags.StringVar(&f.nodeAddress, "node-address", "", "this node's own `address` (default: that of the interface)")
	flags.StringVar(&f.wish.Endpoint, "endpoint", "", "`host:port` of kubeadm's controlPlaneEndpoint (default: the VIP and port 6443)")
	flags.IntVar(&f.wish.VRID, "vrid", 0, "`number` of the VRRP group, 1 to 255 (default: the last byte of the VIP)")
	flags.BoolVar(&f.write, "write", false, "write the file instead of printing it")
	flags.BoolVar(&f.force, "force", false, "with --write: replace a file that exists")
	return command
}

func (g *globals) init(f initFlags) error {
	if f.force && !f.write {
		return &exitError{exitUsage, errors.New("--force is for --write")}
	}
	wish, err := f.parse()
	if err != nil {
		return &exitError{exitUsage, err}
	}
	host, err := g.host(wish.VIPs)
	if err != nil {
		return err
	}
	plan, err := setup.New(wish, host)
	if _, wrong := errors.AsType[*setup.WishError](err); wrong {
		return &exitError{exitUsage, err}
	}
	if err != nil {
		return err
	}
	for _, reason := range plan.Reasons {
		fmt.Fprintln(g.stderr, reason+".")
	}
	if !f.write {
		_, err := g.stdout.Write(plan.File)
		return err
	}
	if err := writeConfig(g.configPath, plan.File, f.force); err != nil {
		return err
	}
	_, err = fmt.Fprintf(g.stdout, "Wrote %s. Next: 'vipd doctor', 'systemctl enable --now vipd', and on the first node\n"+
		"'kubeadm init --control-plane-endpoint %s' ('vipd kubeadm' prints it as a file).\n", g.configPath, plan.Endpoint)
	return err
}

// parse is the wish in the flags.
func (f initFlags) parse() (setup.Wish, error) {
	w := f.wish
	if w.VRID < 0 || w.VRID > 255 {
		return w, fmt.Errorf("--vrid: %d is no VRID; give one of 1 to 255", w.VRID)
	}
	for _, text := range f.vips {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return w, fmt.Errorf("--vip: %q is no IP address; give it without a prefix length", text)
		}
		w.VIPs = append(w.VIPs, a)
	}
	if f.nodeAddress != "" {
		a, err := netip.ParseAddr(f.nodeAddress)
		if err != nil {
			return w, fmt.Errorf("--node-address: %q is no IP address; give it without a prefix length", f.nodeAddress)
		}
		w.NodeAddress = a
	}
	return w, nil
}

// host is this host, with the default route of the family of the first VIP.
func (g *globals) host(vips []netip.Addr) (setup.Host, error) {
	links, err := g.interfaces()
	if err != nil {
		return setup.Host{}, err
	}
	name, err := os.Hostname()
	if err != nil {
		return setup.Host{}, fmt.Errorf("read this host's name: %w", err)
	}
	return setup.Host{Name: name, Interfaces: links, DefaultRoute: g.defaultRoute(len(vips) > 0 && vips[0].Is6())}, nil
}

// writeConfig writes a configuration file so that no reader ever sees a part of
// it. A file that exists is replaced only by force.
func writeConfig(path string, text []byte, force bool) (err error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // the daemon's user reads it
		return fmt.Errorf("write configuration: %w", err)
	}
	next, err := os.CreateTemp(dir, ".vipd-*")
	if err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	defer func() { _ = os.Remove(next.Name()) }() // gone already when it became the file
	_, err = next.Write(text)
	err = errors.Join(err, next.Chmod(0o644), next.Sync(), next.Close())
	if err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	if force {
		err = os.Rename(next.Name(), path)
	} else {
		// Unlike a rename, a link never replaces what is there.
		err = os.Link(next.Name(), path)
	}
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists and was left as it is; 'vipd init' without --write prints what would be written, --force replaces the file, --config names another", path)
	}
	if err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return nil
}
