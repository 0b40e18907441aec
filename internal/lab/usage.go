package lab

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Usage is what a process and its descendants consume.
type Usage struct {
	// CPU is the processor time since their start.
	CPU time.Duration
	// RSS is their resident memory now, in bytes.
	RSS uint64
}

// Usage sums over the process and its living descendants.
func (p *Proc) Usage() (Usage, error) {
	var sum Usage
	pids, err := family(p.Pid())
	if err != nil {
		return Usage{}, fmt.Errorf("measure %s on %s: %w", p.Name, p.Host, err)
	}
	for _, pid := range pids {
		cpu, err := cpuTime(pid)
		if err != nil {
			return Usage{}, fmt.Errorf("measure %s on %s: %w", p.Name, p.Host, err)
		}
		rss, err := resident(pid)
		if err != nil {
			return Usage{}, fmt.Errorf("measure %s on %s: %w", p.Name, p.Host, err)
		}
		sum.CPU += cpu
		sum.RSS += rss
	}
	return sum, nil
}

// family returns a process and its living descendants.
func family(root int) ([]int, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	children := make(map[int][]int)
	for _, path := range stats {
		text, err := os.ReadFile(path) //nolint:gosec // below /proc
		if err != nil {
			continue // it has just ended
		}
		// proc(5): pid (comm) state ppid; comm may hold spaces and parentheses.
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		parent, err := strconv.Atoi(fields[1])
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		children[parent] = append(children[parent], pid)
	}
	all := []int{root}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all, nil
}

// cpuTime reads the CPU-time clock of a process, to the nanosecond.
func cpuTime(pid int) (time.Duration, error) {
	// clock_getcpuclockid(3) on Linux: the complement of the pid above a three-bit
	// field whose value 2 means the scheduler's clock of the whole process.
	const schedulerClock = 2
	clock := int32(^pid<<3 | schedulerClock) //nolint:gosec // a pid has 22 bits at most
	var ts unix.Timespec
	if err := unix.ClockGettime(clock, &ts); err != nil {
		return 0, fmt.Errorf("read CPU clock of process %d: %w", pid, err)
	}
	return time.Duration(ts.Nano()), nil
}

// resident reads the second field of proc(5) statm, which counts pages.
func resident(pid int) (uint64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0, fmt.Errorf("read statm of process %d: %q", pid, text)
	}
	pages, err := strconv.ParseUint(fields[1], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read statm of process %d: %w", pid, err)
	}
	return pages * uint64(os.Getpagesize()), nil //nolint:gosec // not negative
}
