package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/control"
)

// defaultShutdownTimeout stands in for drain.shutdown_timeout where the
// configuration cannot be read.
const defaultShutdownTimeout = 4 * time.Second

func newDrainCommand(g *globals) *cobra.Command {
	var request agent.DrainRequest
	var asJSON, shutdown bool
	command := &cobra.Command{
		Use:   "drain",
		Short: "Give the VIPs up to a healthy node and take none: run it before work on this node",
		Long: "Give the VIPs up to a healthy node and take none until 'vipd undrain' or a reboot. Run it\n" +
			"before kubectl drain, kubeadm upgrade node, kubeadm reset or a reboot. It ends with 0 as\n" +
			"soon as this node holds none of them and a healthy node serves each; with 3, and nothing\n" +
			"changed, when no healthy node takes over in time. Interrupting it undoes what has not\n" +
			"moved. Progress goes to standard error, the result to standard output; with --json all\n" +
			"of it goes to standard output, an object a line, the last one with \"result\".",
		RunE: func(c *cobra.Command, _ []string) error {
			if request.Timeout < 0 {
				return &exitError{exitUsage, errors.New("--timeout is negative; write a duration such as 30s")}
			}
			if shutdown {
				request.Timeout = g.shutdownTimeout()
			}
			client := g.client()
			defer client.Close()
			return g.drain(c.Context(), client, request, asJSON)
		},
	}
	command.Flags().StringVar(&request.VIP, "vip", "", "the VIP with this `name` only (default: all)")
	command.Flags().DurationVar(&request.Timeout, "timeout", 0, "how long to wait for a healthy successor (default: drain.timeout of the configuration)")
	command.Flags().Var(&waitFlag{&request}, "wait-connections", "wait until the connections that are open here have ended too, or for a `duration`; those left are ended then (exit code 4)")
	command.Flags().Lookup("wait-connections").NoOptDefVal = "0s"
	command.Flags().BoolVar(&request.Force, "force", false, "give up even if no healthy successor is heard: single node, last node")
	command.Flags().BoolVar(&shutdown, "shutdown", false, "the host goes down: wait for drain.shutdown_timeout of the configuration")
	command.Flags().BoolVar(&asJSON, "json", false, "print JSON, an object a line")
	command.MarkFlagsMutuallyExclusive("timeout", "shutdown")
	return command
}

// shutdownTimeout is the configured one; one that cannot be read is no reason not
// to hand over.
func (g *globals) shutdownTimeout() time.Duration {
	c, err := config.Load(g.configPath)
	if err != nil {
		g.warn("%v; waiting for %s", err, defaultShutdownTimeout)
		return defaultShutdownTimeout
	}
	return c.Drain.ShutdownTimeout
}

func (g *globals) drain(ctx context.Context, client *control.Client, r agent.DrainRequest, asJSON bool) error {
	tell := g.progressLine
	if asJSON {
		tell = func(p agent.DrainProgress) error { return writeLine(g.stdout, p) }
	}
	var written error
	result, err := client.Drain(ctx, r, func(p agent.DrainProgress) { written = errors.Join(written, tell(p)) })
	switch {
	case result == agent.DrainCancelled && ctx.Err() != nil:
		return errors.New("drain interrupted: what had not moved was undone; 'vipd status' shows what this node holds")
	case err != nil:
		return err
	}
	if !asJSON {
		written = errors.Join(written, g.tellResult(ctx, client, r, result))
	}
	if code := exitOfDrain(result); code != exitDone {
		return &exitError{code, written}
	}
	return written
}

// waitFlag is --wait-connections, with or without a duration.
type waitFlag struct{ request *agent.DrainRequest }

func (w *waitFlag) String() string { return "" }

func (w *waitFlag) Type() string { return "duration" }

func (w *waitFlag) Set(text string) error {
	limit, err := time.ParseDuration(text)
	if err != nil || limit < 0 {
		return fmt.Errorf("%q is no duration; write --wait-connections=5m, or --wait-connections alone for handover.grace", text)
	}
	w.request.WaitConnections, w.request.WaitLimit = true, limit
	return nil
}

func exitOfDrain(r agent.DrainResult) exit {
	switch r {
	case agent.DrainDone:
		return exitDone
	case agent.DrainReset:
		return exitReset
	case agent.DrainNoSuccessor:
		return exitNoSuccessor
	case agent.DrainCancelled:
	}
	// A result of a newer daemon is no success either.
	return exitFailed
}

// progressLine tells a step. The last line's result is told by the report.
func (g *globals) progressLine(p agent.DrainProgress) error {
	if p.Result != "" {
		return nil
	}
	text := p.Message
	if p.VIP != "" {
		text = p.VIP + ": " + text
	}
	if p.Owner != "" {
		text += " (owner " + p.Owner + ")"
	}
	stamp := g.style(g.stderr).faint(p.Time.In(g.zone).Format(time.TimeOnly))
	_, err := fmt.Fprintln(g.stderr, stamp, text)
	return err
}

// tellResult says what is true after the drain and what to do next.
func (g *globals) tellResult(ctx context.Context, client *control.Client, r agent.DrainRequest, result agent.DrainResult) error {
	status, err := client.Status(ctx)
	if err != nil {
		return fmt.Errorf("the drain ended (%s), but what is true now is not known: %w", result, err)
	}
	_, err = io.WriteString(g.stdout, drainReport(status, r, result))
	return err
}
