package process

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vipd/vipd/bgp"
)

// TestMain makes the test's binary a speaker or a daemon when it is started as one.
func TestMain(m *testing.M) {
	if len(os.Args) == 1 {
		os.Exit(m.Run())
	}
	switch os.Args[1] {
	case "speaker":
		speak()
	case "daemon":
		keepSpeaker(os.Args[2])
	case "deaf":
		beDeaf(os.Args[2])
	default:
		os.Exit(m.Run())
	}
}

// parting is how long a slow speaker takes to end.
const parting = time.Second

// speak reports what it is told, and does what a neighbour's password says.
func speak() {
	signal.Ignore(syscall.SIGTERM)
	daemon := os.NewFile(3, "daemon")
	slow := false
	defer func() {
		if slow {
			time.Sleep(parting)
		}
		fmt.Fprintln(os.Stderr, "farewell")
	}()
	messages := bgp.NewReader(daemon)
	for {
		m, err := messages.Read()
		if err != nil {
			return
		}
		r := bgp.Report{}
		for _, n := range m.Wanted.Neighbors {
			switch n.Password {
			case "die":
				os.Exit(7)
			case "kill":
				pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), pprof.Labels("neighbor", n.Address.String())))
				panic("a bad message")
			case "slow":
				slow = true
			case "hang":
				_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
			}
			report := bgp.NeighborReport{Address: n.Address, State: bgp.Established, Error: n.Unusable}
			if n.Password == "privileges" {
				report.Error = privileges()
			}
			r.Neighbors = append(r.Neighbors, report)
		}
		if err := bgp.Write(daemon, bgp.Message{Report: &r}); err != nil {
			return
		}
	}
}

// daemon is a client that runs, and its states.
type daemon struct {
	*Client
	t      *testing.T
	states chan State
	log    *bytes.Buffer
	ended  chan struct{}
	end    context.CancelFunc
	wanted bgp.Wanted
}

func begin(t *testing.T) *daemon {
	t.Helper()
	return beginWith(t, patience)
}

// beginWith is begin for a daemon that leaves its speaker some time to end.
func beginWith(t *testing.T, left time.Duration) *daemon {
	t.Helper()
	d := &daemon{t: t, states: make(chan State, 1024), log: &bytes.Buffer{}, ended: make(chan struct{})}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	d.Client = New(Options{
		Command: []string{self, "speaker"}, Stderr: d.log, Log: slog.New(slog.DiscardHandler),
		Changed: func(s State) { d.states <- s }, TimeLeft: func() time.Duration { return left },
	})
	ctx, cancel := context.WithCancel(context.Background())
	d.end = cancel
	go func() {
		defer close(d.ended)
		if err := d.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { cancel(); <-d.ended })
	return d
}

func first() netip.Addr  { return netip.MustParseAddr("192.0.2.1") }
func second() netip.Addr { return netip.MustParseAddr("192.0.2.2") }

// want wants neighbours, each with what its password file says; empty: no file.
func (d *daemon) want(passwords map[netip.Addr]string) {
	d.t.Helper()
	d.wanted.Neighbors = nil
	d.wanted.Generation++
	for addr, password := range passwords {
		n := bgp.Neighbor{Address: addr, ASN: 64500}
		if password != "" {
			n.PasswordFile = filepath.Join(d.t.TempDir(), "password")
			if err := os.WriteFile(n.PasswordFile, []byte(password+"\n"), 0o600); err != nil {
				d.t.Fatal(err)
			}
		}
		d.wanted.Neighbors = append(d.wanted.Neighbors, n)
	}
	d.Want(d.wanted)
}

// await says what is wanted again and again, as the daemon's loop does, until a
// state is as it should be.
func (d *daemon) await(what string, is func(State) bool) State {
	d.t.Helper()
	beat := time.NewTicker(20 * time.Millisecond)
	defer beat.Stop()
	limit := time.After(30 * time.Second)
	for {
		select {
		case s := <-d.states:
			if is(s) {
				return s
			}
		case <-beat.C:
			d.Want(d.wanted)
		case <-limit:
			d.end()
			<-d.ended
			d.t.Fatalf("in vain: %s\n%s", what, d.log)
		}
	}
}

// serves tells whether exactly these neighbours are in a state.
func serves(s State, in bgp.SessionState, addrs ...netip.Addr) bool {
	n := 0
	for _, r := range s.Report.Neighbors {
		for _, a := range addrs {
			if r.Address == a && r.State == in {
				n++
			}
		}
	}
	return n == len(addrs)
}

func TestASpeakerLivesAsLongAsThereAreNeighbours(t *testing.T) {
	d := begin(t)
	d.want(map[netip.Addr]string{first(): ""})
	d.await("a report", func(s State) bool { return s.Running && serves(s, bgp.Established, first()) })
	d.want(nil)
	s := d.await("the end", func(s State) bool { return !s.Running })
	if s.Restarts != 0 || s.Error != "" {
		t.Errorf("a speaker that is not needed ended with %+v", s)
	}
	if !strings.Contains(d.log.String(), "farewell") {
		t.Errorf("it was not let end by itself: %q", d.log)
	}
}

func TestASpeakerThatIsToEndTakesNoMoreThanTheTimeThatIsLeft(t *testing.T) {
	rows := []struct {
		name string
		left time.Duration
		want string
	}{
		{"it parts from the routers", patience, "farewell\n"},
		{"it is killed when none is left", 0, ""},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			d := beginWith(t, row.left)
			d.want(map[netip.Addr]string{first(): "slow"})
			d.await("a report", func(s State) bool { return s.Running && serves(s, bgp.Established, first()) })
			d.end()
			<-d.ended
			if got := d.log.String(); got != row.want {
				t.Errorf("it said %q, want %q", got, row.want)
			}
		})
	}
}

func TestASpeakerThatDiesIsStartedAgain(t *testing.T) {
	for name, word := range map[string]string{"by itself": "die", "because it hangs": "hang"} {
		t.Run(name, func(t *testing.T) {
			d := begin(t)
			d.want(map[netip.Addr]string{first(): word})
			d.await("its death", func(s State) bool { return s.Restarts == 1 && s.Error != "" })
			d.want(map[netip.Addr]string{first(): ""})
			s := d.await("another one", func(s State) bool { return s.Running && serves(s, bgp.Established, first()) })
			if s.Restarts != 1 {
				t.Errorf("the next one was told what killed the former, and not what was wanted last: %d died", s.Restarts)
			}
		})
	}
}

func TestANeighbourThatKillsIsLeftOut(t *testing.T) {
	d := begin(t)
	d.want(map[netip.Addr]string{first(): "kill", second(): ""})
	d.await("the other one alone after the first time", func(s State) bool {
		return s.Running && s.Restarts == 1 && serves(s, bgp.Quarantined, first()) && serves(s, bgp.Established, second())
	})
	d.await("the next trial", func(s State) bool { return s.Restarts > 1 })
	s := d.await("its quarantine", func(s State) bool { return s.Running && serves(s, bgp.Quarantined, first()) })
	for _, n := range s.Report.Neighbors {
		if n.State == bgp.Quarantined && !strings.Contains(n.Error, "the last time by: a bad message)") {
			t.Errorf("it is not told why: %s", n.Error)
		}
	}
	if s.Restarts != 2 {
		t.Errorf("the speaker died %d times before", s.Restarts)
	}
	if !serves(s, bgp.Established, second()) {
		t.Errorf("the other neighbour: %+v", s.Report.Neighbors)
	}
	d.want(map[netip.Addr]string{first(): "", second(): ""}) // as a reload does
	d.await("its pardon", func(s State) bool { return s.Running && serves(s, bgp.Established, first(), second()) })
}

func TestPasswordsThatCannotBeReadMakeNoSession(t *testing.T) {
	d := begin(t)
	d.wanted.Neighbors = []bgp.Neighbor{{Address: first(), PasswordFile: "/nowhere/password"}}
	d.Want(d.wanted)
	d.await("the reason", func(s State) bool {
		return len(s.Report.Neighbors) == 1 && strings.Contains(s.Report.Neighbors[0].Error, "no such file")
	})
}
