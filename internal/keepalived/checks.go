package keepalived

import (
	"strings"
	"time"

	"github.com/vipd/vipd/config"
)

// check is a tracked script that becomes an exec check.
type check struct {
	name   string
	script *script
	// weight is what it adds to the priority, or takes off it.
	weight int
}

// checks are the tracked scripts of a group that can become checks.
func (m *model) checks(g group) []check {
	var all []check
	names := map[string]bool{}
	for _, t := range g.tracked.scripts {
		s, ok := m.scripts[t.name]
		if !ok {
			m.note(t.at, "track_script %s: there is no vrrp_script of that name; it is left out", t.name)
			continue
		}
		w := s.weight
		if t.weight != nil {
			w = *t.weight
		}
		switch {
		case s.command == nil: // noted where the script stands
		case w.reverse:
			m.note(t.at, "track_script %s is left out: with reverse it is good when the script fails, which vipd cannot say; turn the script's exit code round", t.name)
		default:
			all = append(all, check{name: named(t.name, names), script: s, weight: w.value})
		}
	}
	return all
}

// health writes the checks of a group.
func (m *model) health(d *config.Draft, i *instance, t tracked, checks []check) {
	if len(checks) == 0 {
		what := "tracks no script"
		if len(t.scripts) > 0 {
			what = "tracks no script that could be translated"
		}
		m.note(i.at, "vrrp_instance %s %s: vipd's own check of https://127.0.0.1:6443/readyz stands; health: [] looks at nothing", i.name, what)
		return
	}
	if len(checks) > 1 {
		m.generally("A node is unhealthy when any one of its checks fails, whatever weight the script had")
	}
	for _, c := range checks {
		m.exec(d.Element("health"), c)
	}
}

func (m *model) exec(d *config.Draft, c check) {
	s := c.script
	if text := strings.Join(s.command, " "); strings.Contains(text, "6443") || strings.Contains(strings.ToLower(text), "apiserver") {
		m.note(s.at, "script %s seems to ask the API server: vipd's own check, which stands if health is left out, notices its death at once", c.name)
	}
	d.Text("type", string(config.CheckExec), "")
	d.Text("name", c.name, "")
	d.List("command", s.command, "")
	d.Duration("interval", m.within(s, "interval", s.interval, time.Hour), "")
	d.Duration("timeout", m.within(s, "timeout", s.timeout, time.Minute), "")
	d.Number("rise", m.times(s, "rise", s.rise), "")
	d.Number("fall", m.times(s, "fall", s.fall), "")
}

// within is a time of a check in vipd's range, which ends at high.
func (m *model) within(s *script, key string, d, high time.Duration) time.Duration {
	const low = 10 * time.Millisecond
	fits := min(max(d, low), high)
	if fits != d {
		m.note(s.at, "%s %s becomes %s, the nearest that vipd takes", key, d, fits)
	}
	return fits
}

// times is how often a check must agree with itself.
func (m *model) times(s *script, key string, n int) int {
	const high = 100
	if n > high {
		m.note(s.at, "%s %d becomes %d, the most that vipd takes", key, n, high)
	}
	return min(n, high)
}
