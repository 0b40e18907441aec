//go:build !manpages

// Command vipd keeps a cluster's virtual address on one of its control-plane
// nodes. `vipd run` is the daemon; the other commands talk to it or look at its
// configuration. docs/commands.md is their reference.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := execute(ctx, newGlobals(os.Stdout, os.Stderr), os.Args[1:])
	stop()
	os.Exit(int(code))
}
