package fabric

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vipd/vipd/bgp"
	"github.com/vipd/vipd/internal/lab/router"
)

// password is of sessions that have one.
const password = "secret"

// passwordFile has it in its first line.
func passwordFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// A password, TTL security, BFD in real time and graceful restart ask the most of
// the kernel and of the router.
func TestASpeakerNeedsNoPrivilegesAndOutlivesAKilledDaemon(t *testing.T) {
	opts := watched(50 * time.Millisecond)
	opts.Hosts, opts.BGP = 2, []string{quick}
	opts.Neighbor = append(opts.Neighbor, "password_file: "+passwordFile(t), "graceful_restart: 60s")
	opts.Peering = router.Peering{BFD: opts.Peering.BFD, Password: password, TTLSecurity: true, GracefulRestart: true}
	opts.Start = BIRD
	s := open(t, opts, "bird")
	hosts := s.Lab.Hosts
	s.must(s.AwaitPaths(s.ctx(), VIP4(), hosts...))
	s.awaitBFD(hosts[0], bgp.BFDUp)

	pid := s.speaker(hosts[0])
	s.must(unprivileged(pid))
	if allowRealTime() {
		s.must(realTime(pid))
	}

	// A path that is not withdrawn would be kept for a minute.
	s.must(syscall.Kill(s.Daemon(hosts[0]).Pid(), syscall.SIGKILL))
	s.must(s.AwaitPaths(s.ctx(), VIP4(), hosts[1]))
	s.served(settled)
	s.must(s.StartDaemon(hosts[0]))
	s.must(s.AwaitPaths(s.ctx(), VIP4(), hosts...))
}

// unprivileged wants a process to have no capabilities.
func unprivileged(pid int) error {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return err
	}
	for _, line := range []string{"CapInh", "CapPrm", "CapEff", "CapAmb"} {
		if !strings.Contains(string(status), line+":\t0000000000000000\n") {
			err = errors.Join(err, fmt.Errorf("%s is not empty", line))
		}
	}
	if !strings.Contains(string(status), "NoNewPrivs:\t1\n") {
		err = errors.Join(err, errors.New("it may gain privileges"))
	}
	return err
}

// realTime wants a thread of a process to run in real time.
func realTime(pid int) error {
	const roundRobin = "2" // SCHED_RR, sched(7)
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil {
		return err
	}
	for _, thread := range threads {
		stat, err := os.ReadFile(thread)
		if err != nil {
			return err
		}
		// proc_pid_stat(5): the policy is field 41; the name, field 2, may have blanks.
		_, rest, _ := strings.Cut(string(stat), ") ")
		if fields := strings.Fields(rest); len(fields) > 38 && fields[38] == roundRobin {
			return nil
		}
	}
	return fmt.Errorf("none of %d threads runs in real time", len(threads))
}
