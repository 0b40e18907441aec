package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"runtime/pprof"
	"strconv"
	"strings"

	"github.com/vipd/vipd/bgp/gobgp"
	"github.com/vipd/vipd/bgp/speaker"
)

// bearLittle makes the process the one that suffers from what routers send it, and
// not its host. The error tells what else could.
func bearLittle() error {
	// Garbage is collected before it makes the memory too much.
	debug.SetMemoryLimit(speaker.MaxMemory / 8 * 7)
	return beExpendable()
}

// beExpendable has a kernel that is out of memory judge this process by its size,
// as any other. Of the daemon, from which it has its mark, systemd asks that it be
// spared, with all its children (proc_pid_oom_score_adj(5)); to be spared less
// needs no privilege.
func beExpendable() error {
	const file, asAnyOther = "/proc/self/oom_score_adj", "0"
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("be as expendable as any process: %w", err)
	}
	mark, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err == nil && mark < 0 {
		err = os.WriteFile(file, []byte(asAnyOther), 0)
	}
	if err != nil {
		return fmt.Errorf("be as expendable as any process: %w", err)
	}
	return nil
}

// hasMemory is what this process has of the kernel's memory, in bytes, less what it
// gave back (runtime/metrics).
func hasMemory() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64() - s[1].Value.Uint64()
}

// collapse ends the process as gobgp does on a bad message: by a panic of a
// goroutine of the neighbour's. From the traceback the daemon learns whose doing it
// was, and leaves that neighbour out (package process).
func collapse(neighbor netip.Addr, why string) {
	if neighbor.IsValid() {
		labels := pprof.Labels(gobgp.LabelNeighbor, neighbor.String())
		pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), labels))
	}
	panic(why)
}
