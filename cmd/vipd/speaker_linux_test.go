package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/bgp"
	"github.com/vipd/vipd/bgp/bgptest"
)

// TestMain makes the test's binary the program when it is started as a speaker.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "speaker" {
		main()
	}
	os.Exit(m.Run())
}

// patience bounds a wait.
const patience = 20 * time.Second

// speech is a speaker process, and its daemon's ends.
type speech struct {
	*exec.Cmd
	t      *testing.T
	daemon net.Conn
	stderr *os.File
	words  *bgp.Reader
}

// beginSpeaker starts a speaker that logs all, unless flags say otherwise.
func beginSpeaker(t *testing.T, flags ...string) *speech {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "speaker"), os.NewFile(uintptr(fds[1]), "daemon")
	daemon, err := net.FileConn(ours)
	if err := errors.Join(err, ours.Close()); err != nil {
		t.Fatal(err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s := &speech{Cmd: exec.Command(self, append([]string{"speaker", "--log-level=debug"}, flags...)...), t: t, daemon: daemon, stderr: read, words: bgp.NewReader(daemon)}
	s.ExtraFiles, s.Stderr = []*os.File{theirs}, write
	if err := errors.Join(s.Start(), theirs.Close(), write.Close()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.Process.Kill() // it is gone unless the test failed
		_ = s.Wait()
		_, _ = daemon.Close(), read.Close()
	})
	return s
}

// await says what is wanted until a report is as it should be.
func (s *speech) await(what string, w bgp.Wanted, is func(bgp.Report) bool) {
	s.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if err := bgp.Write(s.daemon, bgp.Message{Wanted: &w}); err != nil {
			s.t.Fatalf("%s: %v", what, err)
		}
		m, err := s.words.Read()
		if err != nil {
			s.t.Fatalf("%s: %v", what, err)
		}
		if is(*m.Report) {
			return
		}
	}
	s.t.Fatalf("in vain: %s", what)
}

// outlive says what is wanted until the speaker has ended, and returns what it
// logged.
func (s *speech) outlive(w bgp.Wanted) (words []byte) {
	s.t.Helper()
	go func() {
		for {
			if bgp.Write(s.daemon, bgp.Message{Wanted: &w}) != nil {
				return
			}
			if _, err := s.words.Read(); err != nil {
				return
			}
		}
	}()
	if err := s.stderr.SetReadDeadline(time.Now().Add(patience)); err != nil {
		s.t.Fatal(err)
	}
	words, err := io.ReadAll(s.stderr)
	if err != nil {
		s.t.Fatalf("it goes on: %v", err)
	}
	return words
}

// wantedOf is one VIP, announced to a router.
func wantedOf(r *bgptest.Router) bgp.Wanted {
	return bgp.Wanted{
		ASN: 64512, RouterID: netip.MustParseAddr("192.0.2.11"),
		Neighbors: []bgp.Neighbor{{
			Address: r.Address().Addr(), Port: r.Address().Port(), ASN: bgptest.ASN, HoldTime: 9 * time.Second,
		}},
		Routes: []bgp.Route{{Prefix: netip.MustParsePrefix("198.51.100.10/32")}},
	}
}

func established(r bgp.Report) bool {
	return len(r.Neighbors) == 1 && r.Neighbors[0].State == bgp.Established && len(r.Neighbors[0].Announced) == 1
}

// A daemon that is killed reads neither socket nor log any more.
func TestASpeakerOfAKilledDaemonTellsTheRouters(t *testing.T) {
	r, s := bgptest.Listen(t, bgptest.IPv4()), beginSpeaker(t)
	s.await("the session", wantedOf(r), established)
	if err := errors.Join(s.stderr.Close(), s.daemon.Close()); err != nil {
		t.Fatal(err)
	}
	select {
	case got := <-r.Notifications:
		if got != "6/2 vipd has ended" {
			t.Errorf("the router heard %q", got)
		}
	case <-time.After(patience):
		t.Error("the router heard nothing")
	}
	// RFC 4271 4.3: the length of withdrawn routes, and the first of them.
	withdrawal := []byte{0, 5, 32, 198, 51, 100, 10}
	var last []byte
	for len(r.Updates) > 0 {
		last = <-r.Updates
	}
	if !bytes.HasPrefix(last, withdrawal) {
		t.Errorf("the last update is %v", last)
	}
	if err := s.Wait(); err != nil {
		t.Errorf("the speaker: %v", err)
	}
}

// Ctrl-C, systemctl kill, killall and a terminal that closes reach it too.
func TestSignalsForTheDaemonDoNotEndItsSpeaker(t *testing.T) {
	r, s := bgptest.Listen(t, bgptest.IPv4()), beginSpeaker(t)
	s.await("the session", wantedOf(r), established)
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGTERM, syscall.SIGINT} {
		if err := s.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		more := wantedOf(r)
		more.Routes = append(more.Routes, bgp.Route{Prefix: netip.MustParsePrefix("198.51.100.20/32")})
		for _, w := range []bgp.Wanted{more, wantedOf(r)} {
			s.await("routes after "+sig.String(), w, func(r bgp.Report) bool {
				return len(r.Neighbors) == 1 && r.Neighbors[0].State == bgp.Established && len(r.Neighbors[0].Announced) == len(w.Routes)
			})
		}
	}
	if len(r.Notifications) > 0 {
		t.Errorf("the router heard %q", <-r.Notifications)
	}
}

// A router that sends a full table, because nothing filters what goes out to nodes.
func TestATableThatIsTooGreatEndsTheSpeakerAndNamesTheRouter(t *testing.T) {
	r := bgptest.Listen(t, bgptest.IPv4())
	r.Table = 1_000_000
	t.Setenv("GODEBUG", "tracebacklabels=1") // as the daemon does
	s := beginSpeaker(t, "--log-level=info")
	words := s.outlive(wantedOf(r))
	for _, want := range []string{`panic: 127\.0\.0\.1 sent \d+ routes, and the speaker has \d+ MB of memory`, `goroutine \d+ .*labels:{"neighbor": "127\.0\.0\.1"}`} {
		if !regexp.MustCompile(want).Match(words) {
			t.Errorf("it does not say %s:\n%s", want, words)
		}
	}
	if err := s.Wait(); err == nil {
		t.Error("it ended as if all were well")
	}
	const bearable = 400e6
	if most := s.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10; most > bearable && !racing() {
		t.Errorf("it had %d MB", most/1e6)
	}
}

// racing tells whether the race detector runs, which needs several times as much
// memory.
func racing() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// The kernel spares the daemon, and would spare its children.
func TestASpeakerIsAsExpendableAsAnyProcess(t *testing.T) {
	const file, spared = "/proc/self/oom_score_adj", "-500"
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(spared), 0); err != nil {
		t.Skipf("needs the right to be spared (CAP_SYS_RESOURCE): %v", err)
	}
	r, s := bgptest.Listen(t, bgptest.IPv4()), beginSpeaker(t)
	if err := os.WriteFile(file, bytes.TrimSpace(before), 0); err != nil {
		t.Error(err)
	}
	s.await("the session", wantedOf(r), established)
	mark, err := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", s.Process.Pid))
	if err != nil || strings.TrimSpace(string(mark)) != "0" {
		t.Errorf("its mark is %s, %v", mark, err)
	}
}

func TestASpeakerIsOfNoUseByItself(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(self, "speaker").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "started by 'vipd run'") {
		t.Errorf("%s, %v", out, err)
	}
}
