package gobgp

import (
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/bgp"
	"github.com/vipd/vipd/bgp/bgptest"
)

// patience bounds a wait.
const patience = 20 * time.Second

// gracefulRestart is the value of that capability (RFC 4724 3) in an OPEN, whose
// optional parameters are capabilities only (RFC 5492 4); nil: it is not there.
func gracefulRestart(open []byte) []byte {
	for parameters := open[10:]; len(parameters) > 2; parameters = parameters[2+int(parameters[1]):] {
		for c := parameters[2 : 2+int(parameters[1])]; len(c) > 1; c = c[2+int(c[1]):] {
			if c[0] == 64 {
				return c[2 : 2+int(c[1])]
			}
		}
	}
	return nil
}

func TestASpeakerThatWasStartedAgainTellsThatThePathStands(t *testing.T) {
	rows := []struct {
		name      string
		restart   time.Duration
		restarted bool
		want      []byte
	}{
		{"without graceful restart nothing is said", 0, true, nil},
		{"the first one: 10 s, IPv4 and IPv6 unicast", 10 * time.Second, false, []byte{0x00, 10, 0, 1, 1, 0x00, 0, 2, 1, 0x00}},
		{"the next one: R and F", 10 * time.Second, true, []byte{0x80, 10, 0, 1, 1, 0x80, 0, 2, 1, 0x80}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			l := bgptest.Listen(t, bgptest.IPv4())
			s := reachedAs(t, l, func(n *bgp.Neighbor) { n.GracefulRestart, n.Restarted = row.restart, row.restarted })
			if diff := cmp.Diff(row.want, gracefulRestart(<-l.Opens)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if err := s.Close("the test ends"); err != nil {
				t.Error(err)
			}
		})
	}
}

// reached is an established session with a listener.
func reached(t *testing.T, l *bgptest.Router) *Session {
	t.Helper()
	return reachedAs(t, l, func(*bgp.Neighbor) {})
}

func reachedAs(t *testing.T, l *bgptest.Router, change func(*bgp.Neighbor)) *Session {
	t.Helper()
	n := bgp.Neighbor{
		Address: netip.MustParseAddr("127.0.0.1"), ASN: 64500, Port: l.Address().Port(),
		HoldTime: 9 * time.Second,
	}
	change(&n)
	s, err := Open(Local{ASN: 64512, RouterID: netip.MustParseAddr("192.0.2.11")}, n, slog.New(slog.DiscardHandler), func() {})
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the session", func() error {
		if st := s.State(); st.State != bgp.Established {
			return fmt.Errorf("it is %s, %s", st.State, st.Error)
		}
		return nil
	})
	return s
}

func await(t *testing.T, what string, cond func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if err = cond(); err == nil {
			return
		}
	}
	stacks := make([]byte, 1<<16)
	t.Fatalf("waited in vain for %s: %v\n%s", what, err, stacks[:runtime.Stack(stacks, true)])
}

func TestTheRouterIsToldWhyASessionEnds(t *testing.T) {
	rows := []struct {
		name string
		end  func(*Session) error
		want string
	}{
		{"a stop is an administrative shutdown, with its reason (RFC 9003)", func(s *Session) error { return s.Close("vipd stops") }, "6/2 vipd stops"},
		{"a removed router is de-configured (RFC 4486)", (*Session).Remove, "6/3 "},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			l := bgptest.Listen(t, bgptest.IPv4())
			if err := row.end(reached(t, l)); err != nil {
				t.Error(err)
			}
			select {
			case got := <-l.Notifications:
				if got != row.want {
					t.Errorf("the router heard %q, want %q", got, row.want)
				}
			case <-time.After(patience):
				t.Error("the router heard nothing")
			}
		})
	}
}

// Each change of a neighbour ends a session and begins another one.
func TestSessionsThatEndedLeaveNothingRunning(t *testing.T) {
	const changes = 3
	for name, begin := range map[string]func(*testing.T) *Session{
		"with a router": func(t *testing.T) *Session { return reached(t, bgptest.Listen(t, bgptest.IPv4())) },
		"with nobody": func(t *testing.T) *Session {
			n := bgp.Neighbor{Address: netip.MustParseAddr("127.0.0.1"), ASN: 64500, Port: 1, HoldTime: 9 * time.Second}
			s, err := Open(Local{ASN: 64512, RouterID: netip.MustParseAddr("192.0.2.11")}, n, slog.New(slog.DiscardHandler), func() {})
			if err != nil {
				t.Fatal(err)
			}
			return s
		},
		"with a router, after it was tried anew": func(t *testing.T) *Session {
			s := reached(t, bgptest.Listen(t, bgptest.IPv4()))
			if err := s.Hasten(); err != nil {
				t.Error(err)
			}
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := runtime.NumGoroutine()
			for i := range changes {
				t.Run(fmt.Sprint(i), func(t *testing.T) {
					s := begin(t)
					if err := s.Announce([]bgp.Route{route(10, func(*bgp.Route) {})}); err != nil {
						t.Error(err)
					}
					if err := s.Close("the configuration of the neighbour changed"); err != nil {
						t.Error(err)
					}
				})
			}
			await(t, "their goroutines to end", func() error {
				if n := runtime.NumGoroutine(); n > before {
					return fmt.Errorf("%d run, and %d did before", n, before)
				}
				return nil
			})
		})
	}
}

// A neighbour that gobgp does not take is tried again and again.
func TestASessionThatCannotBeBegunLeavesNothingRunning(t *testing.T) {
	before := runtime.NumGoroutine()
	n := bgp.Neighbor{ASN: 64500, Port: 1, HoldTime: 9 * time.Second} // without an address
	for range 3 {
		if _, err := Open(Local{ASN: 64512, RouterID: netip.MustParseAddr("192.0.2.11")}, n, slog.New(slog.DiscardHandler), func() {}); err == nil {
			t.Fatal("it was begun")
		}
	}
	await(t, "their goroutines to end", func() error {
		if n := runtime.NumGoroutine(); n > before {
			return fmt.Errorf("%d run, and %d did before", n, before)
		}
		return nil
	})
}
