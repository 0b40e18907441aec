// Command viplab shows and measures vipd in network namespaces on one Linux
// host, as root. It also is the programs that run on the lab's hosts.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/vipd/vipd/internal/lab/bench"
	"github.com/vipd/vipd/internal/lab/daemon"
	"github.com/vipd/vipd/internal/lab/demo"
	"github.com/vipd/vipd/internal/lab/fabric"
	"github.com/vipd/vipd/internal/lab/tool"
	"golang.org/x/sys/unix"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	root := &cobra.Command{
		Use:           "viplab",
		Short:         "vipd in network namespaces: a demo and a benchmark",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(demoCommand(), benchCommand(), movesCommand(), etcdCommand(), scaleCommand(), busyCommand(), fabricCommand())
	root.AddCommand(tool.Commands()...)
	err := root.ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "viplab:", err)
		os.Exit(1)
	}
}

func demoCommand() *cobra.Command {
	var vipd, with, dir string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "three hosts, one VIP, a client that never waits: what happens when the owner is harmed",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			viplab, err := os.Executable()
			if err != nil {
				return err
			}
			shown, err := daemonNamed(with, vipd, viplab)
			if err != nil {
				return err
			}
			return demo.Run(cmd.Context(), demo.Options{
				Daemon: shown, Viplab: viplab, Dir: dir, Out: cmd.OutOrStdout(), Colour: wantsColour(os.Stdout),
			})
		},
	}
	vipdFlag(cmd, &vipd)
	cmd.Flags().StringVar(&with, "with", "vipd", "the daemon to show: vipd, or keepalived for comparison")
	cmd.Flags().StringVar(&dir, "dir", "", "an existing directory that keeps all logs")
	return cmd
}

// daemonNamed finds the daemon for --with.
func daemonNamed(name, vipd, viplab string) (daemon.Daemon, error) {
	switch name {
	case "vipd":
		return vipdAt(vipd, 0)
	case "keepalived":
		return daemon.Keepalived{Viplab: viplab, Interval: 100 * time.Millisecond}, nil
	}
	return nil, fmt.Errorf("--with %s: use vipd or keepalived", name)
}

// vipdAt checks that the binary exists.
func vipdAt(path string, interval time.Duration) (daemon.Daemon, error) {
	absolute, err := binaryAt(path)
	if err != nil {
		return nil, err
	}
	return daemon.Vipd{Binary: absolute, Interval: interval}, nil
}

// vipdFlag defaults to the binary beside this one.
func vipdFlag(cmd *cobra.Command, path *string) {
	beside := "vipd"
	if self, err := os.Executable(); err == nil {
		beside = filepath.Join(filepath.Dir(self), "vipd")
	}
	cmd.Flags().StringVar(path, "vipd", beside, "path of the vipd binary")
}

// wantsColour says whether f is a terminal whose user has not asked for plain
// text, by the convention of no-color.org.
func wantsColour(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" //nolint:misspell // its name
}

func fabricCommand() *cobra.Command {
	var vipd string
	var runs int
	var only []time.Duration
	var busy time.Duration
	cmd := &cobra.Command{
		Use:   "fabric",
		Short: "vipd and FRR on the hosts side by side, behind a router: outages by BFD and hold time, planned leave, memory",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if runs < 1 {
				return errors.New("--runs: at least one")
			}
			viplab, err := os.Executable()
			if err != nil {
				return err
			}
			path, err := filepath.Abs(vipd)
			if err != nil {
				return fmt.Errorf("--vipd: %w", err)
			}
			if busy > 0 {
				opts := fabric.BusyOptions{Vipd: path, Viplab: viplab, Watch: busy, Progress: cmd.ErrOrStderr()}
				return fabric.PrintBusy(cmd.OutOrStdout(), fabric.MeasureBusy(cmd.Context(), opts), busy)
			}
			results := fabric.Bench(cmd.Context(), fabric.BenchOptions{Vipd: path, Viplab: viplab, Runs: runs, Only: only, Progress: cmd.ErrOrStderr()})
			return fabric.Print(cmd.OutOrStdout(), results)
		},
	}
	vipdFlag(cmd, &vipd)
	cmd.Flags().IntVar(&runs, "runs", 5, "how often a host is cut off")
	cmd.Flags().DurationSliceVar(&only, "bfd", nil, "the BFD intervals to measure, 0 for the hold time alone; all if not set")
	cmd.Flags().DurationVar(&busy, "busy", 0, "measure false alarms instead, while all processors are busy for so long")
	return cmd
}

func benchCommand() *cobra.Command {
	var vipd, with string
	var runs int
	var idle time.Duration
	var only []string
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "vipd and keepalived side by side: outages, processor time, memory",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if runs < 1 {
				return errors.New("--runs: at least one")
			}
			for _, part := range only {
				if !slices.Contains(bench.Parts(), part) {
					return fmt.Errorf("--only %s: use some of %s", part, strings.Join(bench.Parts(), ", "))
				}
			}
			viplab, err := os.Executable()
			if err != nil {
				return err
			}
			subjects, err := subjectsNamed(with, vipd, viplab)
			if err != nil {
				return err
			}
			results, err := bench.Run(cmd.Context(), bench.Options{
				Subjects: subjects, Viplab: viplab, Runs: runs, Idle: idle, Only: only, Progress: cmd.ErrOrStderr(),
			})
			return errors.Join(err, bench.Print(cmd.OutOrStdout(), results))
		},
	}
	vipdFlag(cmd, &vipd)
	cmd.Flags().StringVar(&with, "with", "both", "what to measure: vipd, keepalived, both, or default: vipd as it comes")
	cmd.Flags().StringSliceVar(&only, "only", nil, "the parts to measure, of "+strings.Join(bench.Parts(), ", ")+"; all if not set")
	cmd.Flags().IntVar(&runs, "runs", 5, "how often each thing is tried")
	cmd.Flags().DurationVar(&idle, "idle", 10*time.Second, "how long the idle daemons are watched")
	return cmd
}

// subjectsNamed pairs the daemons at equal intervals, and has vipd at its
// default at the end.
func subjectsNamed(with, vipd, viplab string) ([]bench.Subject, error) {
	if !slices.Contains([]string{"vipd", "keepalived", "both", "default"}, with) {
		return nil, fmt.Errorf("--with %s: use vipd, keepalived, both or default", with)
	}
	var subjects []bench.Subject
	addVipd := func(interval time.Duration) error {
		if with == "keepalived" {
			return nil
		}
		d, err := vipdAt(vipd, interval)
		subjects = append(subjects, bench.Subject{Daemon: d, Vipd: true, Interval: interval})
		return err
	}
	for _, interval := range []time.Duration{time.Second, 100 * time.Millisecond, 10 * time.Millisecond} {
		if with == "default" {
			break
		}
		if with != "vipd" {
			subjects = append(subjects, bench.Subject{Daemon: daemon.Keepalived{Viplab: viplab, Interval: interval}, Interval: interval})
		}
		if err := addVipd(interval); err != nil {
			return nil, err
		}
	}
	if err := addVipd(0); err != nil {
		return nil, err
	}
	return subjects, nil
}
