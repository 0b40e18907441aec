// Package tool holds the commands that a lab runs on its hosts: the stand-in API
// server, the measuring client and a probe for keepalived. They are subcommands
// of viplab; the binary of a test can take viplab's place, see labtest.Main.
package tool

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/vipd/vipd/internal/lab/apiserver"
	"github.com/vipd/vipd/internal/lab/measure"
)

// Commands returns the subcommands.
func Commands() []*cobra.Command {
	return []*cobra.Command{apiserverCommand(), clientCommand(), checkCommand()}
}

// Main runs the subcommand that the program was called with and ends the
// process; it returns if there is none.
func Main() {
	root := &cobra.Command{Use: "tool", SilenceUsage: true}
	root.AddCommand(Commands()...)
	if len(os.Args) < 2 || !slices.ContainsFunc(root.Commands(), func(c *cobra.Command) bool { return c.Name() == os.Args[1] }) {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	err := root.ExecuteContext(ctx)
	stop()
	if err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

func apiserverCommand() *cobra.Command {
	var opts apiserver.Options
	cmd := &cobra.Command{
		Use:    "apiserver",
		Short:  "a stand-in for kube-apiserver",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE:   func(cmd *cobra.Command, _ []string) error { return apiserver.Run(cmd.Context(), opts) },
	}
	f := cmd.Flags()
	f.StringVar(&opts.Listen, "listen", ":6443", "where to serve")
	f.StringVar(&opts.Node, "name", "", "the node's name, the answer to /whoami")
	f.StringVar(&opts.CertDir, "cert-dir", "", "directory of apiserver.crt and apiserver.key")
	f.StringVar(&opts.Control, "control", "", "path of the socket that sets the mode")
	f.DurationVar(&opts.Tick, "tick", apiserver.DefaultTick, "time between two lines of a stream")
	f.DurationVar(&opts.Grace, "grace", 20*time.Second, "how long open connections are served after SIGTERM")
	return cmd
}

func clientCommand() *cobra.Command {
	opts := measure.Defaults(netip.AddrPort{})
	var vip string
	var controls []string
	var records bool
	cmd := &cobra.Command{
		Use:    "client",
		Short:  "the client that measures a VIP; reports when it is interrupted",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if opts.Target, err = netip.ParseAddrPort(vip); err != nil {
				return fmt.Errorf("--vip: %w", err)
			}
			for _, c := range controls {
				addr, err := netip.ParseAddrPort(c)
				if err != nil {
					return fmt.Errorf("--control: %w", err)
				}
				opts.Controls = append(opts.Controls, addr)
			}
			if records {
				return measure.Run(cmd.Context(), opts, cmd.OutOrStdout())
			}
			return report(cmd.Context(), opts, cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.StringVar(&vip, "vip", "", "the VIP and port to measure, host:port")
	f.DurationVar(&opts.Every, "every", opts.Every, "time between the starts of two requests, 0 for none")
	f.DurationVar(&opts.Timeout, "timeout", opts.Timeout, "how long a request may take")
	f.BoolVar(&opts.TLS, "tls", opts.TLS, "make requests by TLS instead of plain HTTP")
	f.IntVar(&opts.Streams, "streams", opts.Streams, "how many long streams to keep open")
	f.StringArrayVar(&controls, "control", nil, "a node's own host:port for a control stream; may be repeated")
	f.DurationVar(&opts.Patience, "patience", opts.Patience, "after how long a silent stream is given up")
	f.StringVar(&opts.CAFile, "ca", "", "file with the CA of the servers")
	f.BoolVar(&records, "records", false, "print every record as a line of JSON instead of a report")
	return cmd
}

// report measures until ctx ends and prints one report on all of it.
func report(ctx context.Context, opts measure.Options, out io.Writer) error {
	var log measure.Log
	from := time.Now()
	if err := measure.Run(ctx, opts, &log); err != nil {
		return err
	}
	summary, err := log.Summarise(from, time.Now())
	if err != nil {
		return err
	}
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(summary)
}
