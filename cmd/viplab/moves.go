package main

import (
	"errors"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/vipd/vipd/internal/lab/bench"
	"github.com/vipd/vipd/internal/lab/daemon"
)

func movesCommand() *cobra.Command {
	var vipd, with string
	var runs int
	cmd := &cobra.Command{
		Use:   "moves",
		Short: "vipd and keepalived side by side: what a planned move does to open connections",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if runs < 1 {
				return errors.New("--runs: at least one")
			}
			viplab, err := os.Executable()
			if err != nil {
				return err
			}
			subjects, err := movers(with, vipd, viplab)
			if err != nil {
				return err
			}
			results, err := bench.Moves(cmd.Context(), bench.Options{
				Subjects: subjects, Viplab: viplab, Runs: runs, Progress: cmd.ErrOrStderr(),
			})
			return errors.Join(err, bench.PrintMoves(cmd.OutOrStdout(), results))
		},
	}
	vipdFlag(cmd, &vipd)
	cmd.Flags().StringVar(&with, "with", "both", "what to measure: vipd, keepalived or both")
	cmd.Flags().IntVar(&runs, "runs", 5, "how often the VIP moves")
	return cmd
}

// movers are vipd at its default, and keepalived at the same interval.
func movers(with, vipd, viplab string) ([]bench.Subject, error) {
	const interval = 100 * time.Millisecond
	other := bench.Subject{Daemon: daemon.Keepalived{Viplab: viplab, Interval: interval}, Interval: interval}
	switch with {
	case "keepalived":
		return []bench.Subject{other}, nil
	case "vipd", "both":
	default:
		return nil, errors.New("--with " + with + ": use vipd, keepalived or both")
	}
	d, err := vipdAt(vipd, 0)
	ours := bench.Subject{Daemon: d, Vipd: true}
	if with == "vipd" {
		return []bench.Subject{ours}, err
	}
	return []bench.Subject{other, ours}, err
}
