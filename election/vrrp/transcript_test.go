package vrrp

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/election"
)

// A transcript is what happens to one machine and what it does, a line each:
//
//	TIME EVENT
//	TIME EVENT -> ACTION; ACTION; ...
//
// TIME counts from the moment that begin ends with. The machine under test is
// 192.0.2.12, its group's address 192.0.2.10, others are written by their last
// byte: .11 is the lower, .13 and .14 are the higher addresses. Priority 192
// makes a skew of a quarter of the interval, 64 of three quarters.
//
// Events:
//
//	up, up as .14                    LinkUp
//	down REASON                      LinkDown
//	.13 adverts 150 [every 1s] [of .10 .20] [in pseudo-header | in version 2]
//	healthy, unhealthy               Health
//	drain, resign, undrain           SetDuty
//	abandon                          Abandon
//	held 1, not held 1               Held, Held with an error
//	probed 1 free, probed 1 by MAC   Probed
//	reached 1 hears|silent|unclear, 1 of 2 others   Reached
//	configure WORD VALUE, ...        Configure, in the words of node below
//	named by .13, named by nobody    Named
//	members .11 .13                  Members
//	company                          Company
//	tick                             Tick
//	timer                            Tick, and it is the machine's deadline
//	timer is at 2s, no timer         no event: tells the machine's deadline
//
// Actions are written as they are by describe, without their details.
type transcript struct {
	name  string
	node  string
	begin begin
	lines string
}

// begin brings a new machine to where a transcript begins and returns when.
type begin func(*script) time.Time

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

const (
	longAgo = -time.Hour
	ms      = time.Millisecond
)

// newcomer: healthy, the link has just come up.
func newcomer(s *script) time.Time { return s.joined(true) }

// unhealthyNewcomer: not healthy, the link has just come up.
func unhealthyNewcomer(s *script) time.Time { return s.joined(false) }

// backup: healthy, and .13 has just advertised 192.
func backup(s *script) time.Time { return s.heard(true) }

// unhealthyBackup: not healthy, and .13 has just advertised 192.
func unhealthyBackup(s *script) time.Time { return s.heard(false) }

// owner: has just taken over from .13, which fell silent.
func owner(s *script) time.Time { return s.tookOver(true) }

// unhealthyOwner: the same, not healthy.
func unhealthyOwner(s *script) time.Time { return s.tookOver(false) }

// lonelyOwner: has just claimed the addresses of a group that it never heard.
func lonelyOwner(s *script) time.Time { return s.claimed(true) }

// unhealthyLonelyOwner: the same, not healthy.
func unhealthyLonelyOwner(s *script) time.Time { return s.claimed(false) }

// nowhere: nothing has happened.
func nowhere(*script) time.Time { return epoch }

func (s *script) joined(healthy bool) time.Time {
	s.step(epoch.Add(longAgo), Health{Healthy: healthy})
	s.step(epoch, LinkUp{Own: s.own})
	return epoch
}

func (s *script) heard(healthy bool) time.Time {
	now := s.joined(healthy)
	s.step(now, s.advert(".13 adverts 192"))
	return now
}

func (s *script) tookOver(healthy bool) time.Time {
	s.heard(healthy)
	now := s.m.Deadline()
	s.step(now, Tick{})
	s.step(now, Held{Attempt: s.m.attempt})
	s.mustBe(Active)
	s.m.activeSince = now.Add(-lastWords)
	return now
}

func (s *script) claimed(healthy bool) time.Time {
	s.joined(healthy)
	now := s.m.Deadline()
	s.step(now, Tick{})
	s.step(now, Probed{Attempt: s.m.attempt})
	s.step(now, Held{Attempt: s.m.attempt})
	s.mustBe(Active)
	return now
}

// script runs a transcript.
type script struct {
	t     *testing.T
	m     *Machine
	own   netip.Addr
	cfg   Config
	start time.Time
}

func (s *script) step(now time.Time, ev Event) []Action { return s.m.Step(now, ev) }

func (s *script) mustBe(want State) {
	s.t.Helper()
	if got := s.m.State(); got != want {
		s.t.Fatalf("the transcript begins in %v, want %v", got, want)
	}
}

func run(t *testing.T, transcripts []transcript) {
	for _, tr := range transcripts {
		t.Run(tr.name, func(t *testing.T) {
			s := newScript(t, tr.node, tr.begin)
			want := trimmed(tr.lines)
			got := make([]string, 0, len(want))
			for _, line := range want {
				got = append(got, s.play(line))
			}
			if diff := cmp.Diff(strings.Join(want, "\n"), strings.Join(got, "\n")); diff != "" {
				t.Errorf("transcript (-want +got):\n%s", diff)
			}
		})
	}
}

func newScript(t *testing.T, node string, from begin) *script {
	s := &script{t: t, own: last(".12"), cfg: Config{
		VRID: 51, Addresses: []netip.Addr{last(".10")}, Rhythm: Rhythm{Interval: 100 * ms},
		Priority: 192, UnhealthyPriority: 64, FollowChecksum: true,
	}}
	leftover := false
	if rest, ok := strings.CutPrefix(node, "leftover"); ok {
		leftover, node = true, strings.TrimPrefix(rest, ", ")
	}
	s.set(node)
	s.m = New(s.cfg, leftover)
	s.start = from(s)
	return s
}

func trimmed(lines string) []string {
	var all []string
	for line := range strings.Lines(lines) {
		if line = strings.Join(strings.Fields(line), " "); line != "" {
			all = append(all, line)
		}
	}
	return all
}

// play does what a line says and returns the line as it should have been.
func (s *script) play(line string) string {
	before, _, _ := strings.Cut(line, " -> ")
	at, what, ok := strings.Cut(before, " ")
	since, err := time.ParseDuration(at)
	if !ok || err != nil {
		s.t.Fatalf("%q: want TIME EVENT", line)
	}
	now := s.start.Add(since)
	switch {
	case what == "no timer" || strings.HasPrefix(what, "timer is at "):
		return at + " " + s.timer()
	case what == "timer":
		if !s.m.Deadline().Equal(now) {
			return at + " " + s.timer()
		}
	}
	actions := s.step(now, s.event(what))
	if len(actions) == 0 {
		return before
	}
	words := make([]string, len(actions))
	for i, a := range actions {
		words[i] = describe(a)
	}
	return before + " -> " + strings.Join(words, "; ")
}

func (s *script) timer() string {
	d := s.m.Deadline()
	if d.IsZero() {
		return "no timer"
	}
	return fmt.Sprintf("timer is at %v", d.Sub(s.start))
}

func (s *script) event(what string) Event {
	w := strings.Fields(what)
	if strings.HasPrefix(w[0], ".") {
		return s.advert(what)
	}
	switch w[0] {
	case "tick", "timer":
		return Tick{}
	case "up":
		if len(w) == 3 {
			return LinkUp{Own: last(w[2])}
		}
		return LinkUp{Own: s.own}
	case "down":
		return LinkDown{Reason: election.Reason(w[1])}
	case "healthy", "unhealthy":
		return Health{Healthy: w[0] == "healthy"}
	case "drain":
		return SetDuty{Duty: Drain, Reason: election.Drain}
	case "resign":
		return SetDuty{Duty: Resign, Reason: election.Shutdown}
	case "undrain":
		return SetDuty{Duty: Serve, Reason: election.Undrain}
	case "abandon":
		return Abandon{Reason: election.Forced}
	case "held":
		return Held{Attempt: s.number(w[1])}
	case "not":
		return Held{Attempt: s.number(w[2]), Err: errors.New("no such device")}
	case "probed":
		ev := Probed{Attempt: s.number(w[1])}
		if w[2] == "by" {
			ev.MAC = w[3]
		}
		return ev
	case "reached":
		return Reached{
			Attempt: s.number(w[1]), Other: s.hearing(strings.TrimSuffix(w[2], ",")),
			Third: int(s.number(w[3])), Asked: int(s.number(w[5])),
		}
	case "named":
		if w[2] == "nobody" {
			return Named{}
		}
		return Named{By: last(w[2])}
	case "members":
		ev := Members{}
		for _, a := range w[1:] {
			ev.Addrs = append(ev.Addrs, last(a))
		}
		return ev
	case "doubt", "trust":
		return Doubt{Peers: w[0] == "doubt"}
	case "company":
		return Company{}
	case "configure":
		s.set(strings.TrimPrefix(what, "configure "))
		return Configure{Config: s.cfg}
	}
	s.t.Fatalf("no such event: %q", what)
	return nil
}

// advert reads ".13 adverts 150 every 1s of .10 .20 in pseudo-header".
func (s *script) advert(what string) Event {
	w := strings.Fields(what)
	p := &Packet{VRID: 51, Priority: uint8(s.number(w[2])), Interval: 100 * ms, Addresses: []netip.Addr{last(".10")}}
	for i := 3; i < len(w); i++ {
		switch w[i] {
		case "every":
			i++
			p.Interval = s.duration(w[i])
		case "of":
			p.Addresses = nil
			for i+1 < len(w) && w[i+1][0] == '.' {
				i++
				p.Addresses = append(p.Addresses, last(w[i]))
			}
		case "in":
			i++
			if w[i] == "version" {
				i++
				p.Version = s.version(w[i])
				continue
			}
			p.Checksum = PseudoHeader
		default:
			s.t.Fatalf("no such word of an advert: %q in %q", w[i], what)
		}
	}
	return Advert{From: last(w[0]), Packet: p}
}

// set reads "priority 200, preempt on, peers .11 .13".
func (s *script) set(words string) {
	c := &s.cfg
	for _, setting := range strings.Split(words, ", ") {
		w := strings.Fields(setting)
		if len(w) == 0 {
			continue
		}
		switch w[0] {
		case "priority":
			c.Priority = uint8(s.number(w[1]))
		case "version":
			c.Version = s.version(w[1])
		case "interval":
			c.Interval = s.duration(w[1])
		case "preempt":
			c.Preempt = w[1] == "on"
		case "preempt-delay":
			c.PreemptDelay = s.duration(w[1])
		case "startup-delay":
			c.StartupDelay = s.duration(w[1])
		case "peers":
			c.Peers = nil
			for _, p := range w[1:] {
				c.Peers = append(c.Peers, last(p))
			}
		case "addresses":
			c.Addresses = nil
			for _, a := range w[1:] {
				c.Addresses = append(c.Addresses, last(a))
			}
		case "own":
			s.own = last(w[1])
		case "checksum":
			c.FollowChecksum = w[1] == "auto"
			c.Checksum = MessageOnly
			if w[1] == "pseudo-header" {
				c.Checksum = PseudoHeader
			}
		default:
			s.t.Fatalf("no such setting: %q", setting)
		}
	}
}

func (s *script) number(w string) uint64 {
	n, err := strconv.ParseUint(w, 10, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

func (s *script) hearing(w string) Hearing {
	for h, word := range map[Hearing]string{Unclear: "unclear", Hears: "hears", Silent: "silent"} {
		if w == word {
			return h
		}
	}
	s.t.Fatalf("no such hearing: %q", w)
	return Unclear
}

func (s *script) version(w string) Version {
	switch w {
	case "2":
		return Version2
	case "3":
		return Version3
	}
	s.t.Fatalf("no such version: %q", w)
	return 0
}

func (s *script) duration(w string) time.Duration {
	d, err := time.ParseDuration(w)
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

// last is the address of documentation's network with that last byte.
func last(w string) netip.Addr { return netip.MustParseAddr("192.0.2" + w) }

func short(a netip.Addr) string {
	b := a.As4()
	return fmt.Sprintf(".%d", b[3])
}

// describe is an action's word in a transcript.
func describe(a Action) string {
	switch a := a.(type) {
	case *SendAdvert:
		words := fmt.Sprintf("advert %d", a.Priority)
		if a.Interval != 100*ms {
			words += fmt.Sprintf(" every %v", a.Interval)
		}
		if a.Checksum == PseudoHeader {
			words += " in pseudo-header"
		}
		if a.Version == Version2 {
			words += " in version 2"
		}
		return words
	case Hold:
		if a.AfterSilence {
			return fmt.Sprintf("hold %d after silence", a.Attempt)
		}
		return fmt.Sprintf("hold %d", a.Attempt)
	case Defend:
		return "defend against " + short(a.Rival)
	case Release:
		return "release"
	case Probe:
		return fmt.Sprintf("probe %d", a.Attempt)
	case Reach:
		return fmt.Sprintf("reach %d of %s", a.Attempt, short(a.Of))
	case Transition:
		return fmt.Sprintf("%v to %v, %v", a.From, a.To, a.Reason)
	case Report:
		if !a.From.IsValid() {
			return "report " + reportWord(a.Kind)
		}
		return fmt.Sprintf("report %s by %s", reportWord(a.Kind), short(a.From))
	}
	panic("vrrp: unhandled action")
}

func reportWord(k ReportKind) string {
	switch k {
	case Foreign:
		return "foreign"
	case Differs:
		return "differs"
	case Rival:
		return "rival"
	case Answered:
		return "answered"
	case OwnAddress:
		return "own address"
	case Deaf:
		return "deaf"
	case Undone:
		return "undone"
	}
	panic("vrrp: unhandled report")
}
