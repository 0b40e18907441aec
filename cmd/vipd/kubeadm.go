package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/internal/setup"
)

func newKubeadmCommand(g *globals) *cobra.Command {
	var name string
	command := &cobra.Command{
		Use:   "kubeadm",
		Short: "Print what kubeadm must be told of the VIP",
		Long: "Print the part of kubeadm's ClusterConfiguration (v1beta4) that makes the cluster use the VIP:\n" +
			"controlPlaneEndpoint, and certSANs for the addresses that kubeadm would not put into the API\n" +
			"server's certificate by itself. What concerns other parts goes to standard error.",
		RunE: func(*cobra.Command, []string) error { return g.kubeadm(name) },
	}
	command.Flags().StringVar(&name, "vip", "", "`name` of the VIP of the API servers (default: the only one)")
	return command
}

// kubeadm does not look at the host: a configuration may be made elsewhere.
func (g *globals) kubeadm(name string) error {
	c, err := config.Load(g.configPath)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	v, err := oneVIP(c.VIPs, name)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	file, notes, err := setup.ClusterConfiguration(v)
	if err != nil {
		return err
	}
	for _, note := range notes {
		fmt.Fprintln(g.stderr, note+".")
	}
	_, err = g.stdout.Write(file)
	return err
}

// oneVIP is the group of a name, or the only one.
func oneVIP(vips []config.VIP, name string) (config.VIP, error) {
	if name == "" && len(vips) == 1 {
		return vips[0], nil
	}
	if i := slices.IndexFunc(vips, func(v config.VIP) bool { return v.Name == name }); i >= 0 {
		return vips[i], nil
	}
	names := make([]string, len(vips))
	for i, v := range vips {
		names[i] = v.Name
	}
	if name == "" {
		return config.VIP{}, fmt.Errorf("the configuration has several VIPs; say with --vip which one is the API servers': %s", strings.Join(names, ", "))
	}
	return config.VIP{}, fmt.Errorf("--vip: the configuration has no VIP %s; it has %s", name, strings.Join(names, ", "))
}
