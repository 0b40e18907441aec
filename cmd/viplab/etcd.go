package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/vipd/vipd/internal/lab/bench"
)

func etcdCommand() *cobra.Command {
	var vipd string
	var runs int
	var ttls []time.Duration
	cmd := &cobra.Command{
		Use:   "etcd",
		Short: "vipd elected by etcd and by VRRP side by side: outages at a crash, what a drain loses",
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
			results, err := bench.Leases(cmd.Context(), bench.LeaseOptions{
				Vipd: path, Viplab: viplab, TTLs: ttls, Runs: runs, Progress: cmd.ErrOrStderr(),
			})
			return errors.Join(err, bench.PrintLeases(cmd.OutOrStdout(), results))
		},
	}
	vipdFlag(cmd, &vipd)
	cmd.Flags().IntVar(&runs, "runs", 5, "how often a host crashes, and is drained")
	cmd.Flags().DurationSliceVar(&ttls, "ttl", []time.Duration{0, 3 * time.Second, 5 * time.Second}, "the leases to measure, 0 for the election by VRRP")
	return cmd
}
