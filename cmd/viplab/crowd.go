package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/vipd/vipd/internal/lab/crowd"
)

func scaleCommand() *cobra.Command {
	var vipd string
	var watch time.Duration
	cmd := &cobra.Command{
		Use:   "scale",
		Short: "100 and 255 VIP groups on one interface, beside keepalived: takeover, processor time, memory",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			path, err := binaryAt(vipd)
			if err != nil {
				return err
			}
			return scale(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), path, watch)
		},
	}
	vipdFlag(cmd, &vipd)
	cmd.Flags().DurationVar(&watch, "watch", 10*time.Second, "how long the daemons are watched")
	return cmd
}

func scale(ctx context.Context, out, progress io.Writer, vipd string, watch time.Duration) error {
	var results []crowd.Scale
	var failed error
	for _, groups := range []int{100, 255} {
		for _, s := range pair(vipd, time.Second, false) {
			r, err := crowd.MeasureScale(ctx, s, groups, watch)
			if err != nil {
				failed = errors.Join(failed, err)
				continue
			}
			fmt.Fprintf(progress, "%d groups, %s: done\n", groups, s.Name)
			results = append(results, r)
		}
	}
	return errors.Join(failed, crowd.PrintScale(out, results))
}

func busyCommand() *cobra.Command {
	var vipd string
	var watch time.Duration
	cmd := &cobra.Command{
		Use:   "busy",
		Short: "adverts while all processors are busy, beside keepalived, with and without real-time policy",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			path, err := binaryAt(vipd)
			if err != nil {
				return err
			}
			return busy(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), path, watch)
		},
	}
	vipdFlag(cmd, &vipd)
	cmd.Flags().DurationVar(&watch, "watch", 20*time.Second, "how long the processors are busy")
	return cmd
}

func busy(ctx context.Context, out, progress io.Writer, vipd string, watch time.Duration) error {
	var results []crowd.Busy
	var failed error
	for _, interval := range []time.Duration{100 * time.Millisecond, 10 * time.Millisecond} {
		for _, realTime := range []bool{false, true} {
			for _, s := range pair(vipd, interval, realTime) {
				r, err := crowd.MeasureBusy(ctx, s, watch)
				if err != nil {
					failed = errors.Join(failed, err)
					continue
				}
				fmt.Fprintf(progress, "busy, %s: done\n", s.Name)
				results = append(results, r)
			}
		}
	}
	return errors.Join(failed, crowd.PrintBusy(out, results, watch))
}

// binaryAt checks that vipd exists.
func binaryAt(path string) (string, error) {
	absolute, err := filepath.Abs(path)
	if err == nil {
		_, err = os.Stat(absolute)
	}
	if err != nil {
		return "", fmt.Errorf("--vipd: %w", err)
	}
	return absolute, nil
}

// pair are keepalived and vipd at the same interval.
func pair(vipd string, interval time.Duration, realTime bool) []crowd.Subject {
	how := fmt.Sprintf(", adverts each %v", interval)
	if realTime {
		how += ", real-time"
	}
	return []crowd.Subject{
		{Name: "keepalived" + how, Interval: interval, RealTime: realTime},
		{Name: "vipd" + how, Vipd: vipd, Interval: interval, RealTime: realTime},
	}
}
