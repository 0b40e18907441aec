package keepalived

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// read understands statements. The defaults are keepalived's.
func read(statements []Statement) *model {
	m := &model{version: 2, scripts: map[string]*script{}}
	for _, s := range statements {
		switch s.Keyword() {
		case "global_defs":
			m.global(s)
		case "vrrp_instance":
			m.instances = append(m.instances, m.instance(s))
		case "vrrp_script":
			m.script(s)
		case "vrrp_sync_group":
			m.groups = append(m.groups, m.group(s))
		default:
			m.untranslated(s)
		}
	}
	return m
}

func (m *model) global(s Statement) {
	for _, c := range s.Block {
		switch c.Keyword() {
		case "vrrp_version":
			m.number(c, 2, 3, &m.version)
		case "router_id", "enable_script_security", "process_names", "max_auto_priority":
			// What a host is called and how keepalived's processes run.
		default:
			m.untranslated(c)
		}
	}
}

func (m *model) instance(s Statement) *instance {
	i := &instance{at: s, name: m.name(s), priority: 100, interval: time.Second}
	for _, c := range s.Block {
		switch c.Keyword() {
		case "interface":
			i.link = m.argument(c)
		case "virtual_router_id":
			m.number(c, 1, 255, &i.vrid)
		case "version":
			m.number(c, 2, 3, &i.version)
		case "priority":
			m.number(c, 1, 255, &i.priority)
		case "advert_int":
			m.seconds(c, &i.interval)
		case "nopreempt":
			i.nopreempt = true
		case "preempt_delay":
			m.seconds(c, &i.preemptDelay)
		case "authentication":
			m.authentication(c, i)
		case "unicast_peer":
			i.peers = m.addresses(c)
		case "virtual_ipaddress":
			i.advertised = append(i.advertised, m.addresses(c)...)
		case "virtual_ipaddress_excluded":
			i.excluded = append(i.excluded, m.addresses(c)...)
		case "state":
			if m.argument(c) != "BACKUP" {
				m.note(c, "state %s: vipd has no initial state; every node begins as a backup", strings.Join(c.Words[1:], " "))
			}
		case "preempt", "accept", "debug", "native_ipv6", "skip_check_adv_addr", "check_unicast_src",
			"unicast_fault_no_peer", "promote_secondaries", "kernel_rx_buf_size", "linkbeat_use_polling":
			// vipd does so in any case, or has no need of it.
		default:
			if !m.track(c, &i.tracked) {
				m.untranslated(c)
			}
		}
	}
	for _, c := range s.Block {
		if strings.HasPrefix(c.Keyword(), "virtual_ipaddress") {
			m.misplaced(c, i.link)
		}
	}
	return i
}

func (m *model) authentication(s Statement, i *instance) {
	for _, c := range s.Block {
		switch c.Keyword() {
		case "auth_type":
			i.authType = m.argument(c)
		case "auth_pass":
			i.password = m.argument(c)
		default:
			m.untranslated(c)
		}
	}
}

func (m *model) script(s Statement) {
	r := &script{at: s, interval: time.Second, rise: 1, fall: 1}
	for _, c := range s.Block {
		switch c.Keyword() {
		case "script":
			r.at = c
			r.command = m.command(c)
		case "interval":
			m.seconds(c, &r.interval)
		case "timeout":
			m.seconds(c, &r.timeout)
		case "rise":
			m.number(c, 1, 1<<30, &r.rise)
		case "fall":
			m.number(c, 1, 1<<30, &r.fall)
		case "weight":
			if w := m.weight(c, c.Words); w != nil {
				r.weight = *w
			}
		default:
			m.untranslated(c)
		}
	}
	if r.timeout == 0 {
		r.timeout = r.interval
	}
	m.scripts[m.name(s)] = r
}

func (m *model) group(s Statement) syncGroup {
	g := syncGroup{at: s, name: m.name(s)}
	for _, c := range s.Block {
		switch {
		case c.Keyword() == "group":
			for _, member := range c.Block {
				g.members = append(g.members, member.Words...)
			}
		case c.Keyword() == "global_tracking", m.track(c, &g.tracked):
		default:
			m.untranslated(c)
		}
	}
	return g
}

// track reads what is tracked; false: s is no statement about that.
func (m *model) track(s Statement, into *tracked) bool {
	switch s.Keyword() {
	case "track_interface":
		for _, c := range s.Block {
			if w := m.weight(c, c.Words[1:]); w != nil && *w != (weight{}) {
				m.note(c, "track_interface %s: vipd gives the VIP up without the interface, or does not look at it; an interface with a weight is left out", c.Words[0])
				continue
			}
			into.links = append(into.links, c.Words[0])
		}
	case "track_script":
		for _, c := range s.Block {
			into.scripts = append(into.scripts, trackedScript{at: c, name: c.Words[0], weight: m.weight(c, c.Words[1:])})
		}
	default:
		return false
	}
	return true
}

// weight reads `weight N [reverse]`; nil if words say nothing of it.
func (m *model) weight(at Statement, words []string) *weight {
	i := slices.Index(words, "weight")
	if i < 0 || i+1 >= len(words) {
		return nil
	}
	n, err := strconv.Atoi(words[i+1])
	if err != nil || n < -253 || n > 253 {
		m.note(at, "weight %s is no number of -253 to 253; it counts as 0", words[i+1])
	}
	return &weight{min(max(n, -253), 253), slices.Contains(words, "reverse")}
}

// misplaced notes addresses that are held elsewhere than on the instance's
// interface.
func (m *model) misplaced(s Statement, link string) {
	for _, c := range s.Block {
		if i := slices.Index(c.Words, "dev"); i >= 0 && i+1 < len(c.Words) && c.Words[i+1] != link {
			m.note(c, "%s dev %s: vipd holds all addresses of a group on the group's interface", c.Words[0], c.Words[i+1])
		}
	}
}

// addresses reads a block of addresses, each perhaps with options.
func (m *model) addresses(s Statement) []netip.Addr {
	var all []netip.Addr
	for _, c := range s.Block {
		bare, _, _ := strings.Cut(c.Words[0], "/")
		a, err := netip.ParseAddr(bare)
		switch {
		case err != nil || a.Zone() != "" || a.IsUnspecified() || a.IsLoopback() || a.IsMulticast():
			m.note(c, "%s is no address that a host can have; it is left out", c.Words[0])
		case !slices.Contains(all, a):
			all = append(all, a)
		}
	}
	return all
}

// name is the argument of a block.
func (m *model) name(s Statement) string {
	if len(s.Words) < 2 {
		m.note(s, "%s has no name", s.Keyword())
		return s.Keyword()
	}
	return s.Words[1]
}

func (m *model) argument(s Statement) string {
	if len(s.Words) < 2 {
		m.note(s, "%s has no value; it is left out", s.Keyword())
		return ""
	}
	return s.Words[1]
}

// number reads a number in a range; what is none stays as it was.
func (m *model) number(s Statement, low, high int, into *int) {
	n, err := strconv.Atoi(m.argument(s))
	if err != nil || n < low || n > high {
		m.note(s, "%s is no number of %d to %d; %d is taken", strings.Join(s.Words, " "), low, high, *into)
		return
	}
	*into = n
}

// seconds reads a time, which may have a fraction.
func (m *model) seconds(s Statement, into *time.Duration) {
	d, err := time.ParseDuration(m.argument(s) + "s")
	if err != nil || d < 0 {
		m.note(s, "%s is no time in seconds; %s is taken", strings.Join(s.Words, " "), *into)
		return
	}
	*into = d
}
