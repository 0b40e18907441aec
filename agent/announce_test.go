package agent

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/config"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

const ms = time.Millisecond

// due lists when a schedule announces up to an end, counted from noon.
func (s *announcements) dueUntil(end time.Duration) []time.Duration {
	var all []time.Duration
	for d := s.deadline(); !d.IsZero() && d.Sub(noon) <= end; d = s.deadline() {
		if s.due(d.Add(-1)) {
			panic("announced before its time")
		}
		if !s.due(d) {
			panic("not announced at its deadline")
		}
		all = append(all, d.Sub(noon))
	}
	return all
}

func TestAnnouncements(t *testing.T) {
	rows := []struct {
		name    string
		burst   int
		refresh time.Duration
		after   time.Duration
		want    []time.Duration
	}{
		{"the default: five, and one a minute", 5, time.Minute, 0, []time.Duration{50 * ms, 200 * ms, 1000 * ms, 3000 * ms, 63000 * ms, 123000 * ms}},
		{"one in the burst: none follows at once", 1, time.Minute, 0, []time.Duration{60000 * ms, 120000 * ms}},
		{"a longer burst goes on every two seconds", 7, 0, 0, []time.Duration{50 * ms, 200 * ms, 1000 * ms, 3000 * ms, 5000 * ms, 7000 * ms}},
		{"no refresh: the burst and no more", 2, 0, 0, []time.Duration{50 * ms}},
		{"neither: only the first, which comes with holding", 1, 0, 0, nil},
		{"after silence: once more when a frozen owner has lost the VIP", 2, 0, 4 * time.Second, []time.Duration{50 * ms, 4000 * ms}},
		{"that instant is also the burst's: announced once", 5, 0, 3 * time.Second, []time.Duration{50 * ms, 200 * ms, 1000 * ms, 3000 * ms}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			s := announcements{burst: row.burst, refresh: row.refresh}
			var after time.Time
			if row.after > 0 {
				after = noon.Add(row.after)
			}
			s.begin(noon, after)
			if diff := cmp.Diff(row.want, s.dueUntil(125*time.Second)); diff != "" {
				t.Errorf("announced (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnnouncementsThatStop(t *testing.T) {
	s := announcements{burst: 5, refresh: time.Minute}
	if got := s.dueUntil(time.Hour); got != nil {
		t.Errorf("announced before it began: %v", got)
	}
	s.begin(noon, noon.Add(4*time.Second))
	s.stop()
	if got := s.dueUntil(time.Hour); got != nil {
		t.Errorf("announced after it was stopped: %v", got)
	}
}

func TestAnnouncementAfterAnotherCandidates(t *testing.T) {
	s := announcements{burst: 1}
	s.outcry(noon) // heard before this node's own first one was made
	s.begin(noon.Add(ms), time.Time{})
	s.outcry(noon.Add(5 * ms))
	if diff := cmp.Diff([]time.Duration{10 * ms}, s.dueUntil(time.Hour)); diff != "" {
		t.Errorf("announced (-want +got):\n%s", diff)
	}
	s.outcry(noon.Add(20 * ms))
	if diff := cmp.Diff([]time.Duration{30 * ms}, s.dueUntil(time.Hour)); diff != "" {
		t.Errorf("announced (-want +got):\n%s", diff)
	}
}

func TestLateAnnouncementsAreNotMadeUpFor(t *testing.T) {
	s := announcements{burst: 1, refresh: time.Second}
	s.begin(noon, time.Time{})
	if !s.due(noon.Add(time.Hour)) {
		t.Error("not announced when it was late")
	}
	if d := s.deadline(); !d.Equal(noon.Add(time.Hour + time.Second)) {
		t.Errorf("next at %v", d.Sub(noon))
	}
}

func TestAnnouncementsRevised(t *testing.T) {
	rows := []struct {
		name string
		to   config.GARP
		want []time.Duration
	}{
		{"a refresh where there was none", config.GARP{Burst: 1, Refresh: 10 * time.Second}, []time.Duration{60000 * ms, 70000 * ms}},
		{"a longer burst, when the former is over: none", config.GARP{Burst: 3}, nil},
		{"none", config.GARP{Burst: 1}, nil},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			s := announcements{burst: 1}
			s.begin(noon, time.Time{})
			s.revise(noon.Add(50*time.Second), row.to)
			if diff := cmp.Diff(row.want, s.dueUntil(70*time.Second)); diff != "" {
				t.Errorf("announced (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("of a VIP that is not held: nothing begins", func(t *testing.T) {
		s := announcements{burst: 1}
		s.revise(noon, config.GARP{Burst: 5, Refresh: time.Second})
		if got := s.dueUntil(time.Hour); got != nil {
			t.Errorf("announced %v", got)
		}
	})
}

// RFC 5227 2.4: defence is limited, so that two stations that both insist do not
// fill the network.
func TestDefence(t *testing.T) {
	s := time.Second
	rows := []struct {
		name    string
		attacks []time.Duration
		want    []string
	}{
		{"the first attack begins an episode", []time.Duration{0}, []string{"begins"}},
		{"one within a second is answered when it is over", []time.Duration{0, s / 2, s}, []string{"begins", "answered after 500ms", "answered after 2s"}},
		{"the pause doubles", []time.Duration{0, s, 2 * s, 3*s - 1, 3 * s, 7*s - 1, 7 * s}, []string{"begins", "answered", "answered after 1s", "no", "answered after 4s", "no", "answered after 8s"}},
		{
			"up to half a minute",
			[]time.Duration{0, s, 3 * s, 7 * s, 15 * s, 31 * s, 61 * s, 90 * s, 91*s - 1, 100 * s},
			[]string{"begins", "answered", "answered", "answered", "answered", "answered", "answered", "answered after 1s", "no", "answered after 21s"},
		},
		{"quiet for a minute: the next one begins anew", []time.Duration{0, s, 61 * s}, []string{"begins", "answered", "begins"}},
		{"attacks that go on are one episode", []time.Duration{0, 59 * s, 118 * s}, []string{"begins", "answered", "answered"}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			var d defence
			var got []string
			for _, at := range row.attacks {
				now := noon.Add(at)
				switch {
				case d.begins(now):
					got = append(got, "begins")
				default:
					got = append(got, answered(d.answer(now), now))
				}
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("attacks (-want +got):\n%s", diff)
			}
		})
	}
}

func answered(at, now time.Time) string {
	switch {
	case at.IsZero():
		return "no"
	case at.Equal(now):
		return "answered"
	}
	return "answered after " + at.Sub(now).String()
}

func TestEarliest(t *testing.T) {
	var none time.Time
	later := noon.Add(1)
	rows := []struct {
		name       string
		a, b, want time.Time
	}{
		{"none and none", none, none, none},
		{"none and one", none, noon, noon},
		{"one and none", noon, none, noon},
		{"earlier first", noon, later, noon},
		{"earlier second", later, noon, noon},
	}
	for _, row := range rows {
		if got := earliest(row.a, row.b); !got.Equal(row.want) {
			t.Errorf("%s: %v", row.name, got)
		}
	}
}
