package keepalived

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/vipd/vipd/config"
)

// election writes the vrrp section of a group.
func (m *model) election(d *config.Draft, i *instance, addresses []netip.Addr, checks []check) {
	ipv6 := addresses[0].Is6()
	version := m.version
	if i.version != 0 {
		version = i.version
	}
	if ipv6 {
		version = 3 // keepalived.conf(5): IPv6 instances always use version 3
	}
	d.Number("vrid", i.vrid, "")
	d.Number("version", version, "")
	d.Duration("advert_interval", m.rhythm(i, version), "")
	weights := make([]int, len(checks))
	for j, c := range checks {
		weights[j] = c.weight
	}
	b, change := banded(i.priority, weights)
	if change != "" {
		m.note(i.at, "vrrp_instance %s: %s", i.name, change)
		m.generally(bandsExplained)
	}
	d.Number("priority", b.healthy, "")
	if b.unhealthy != 0 {
		d.Number("unhealthy_priority", b.unhealthy, "")
	}
	m.preemption(d, i)
	if peers := m.peers(i, addresses); len(peers) > 0 {
		d.List("peers", texts(peers), "")
	}
	if version == 3 && !ipv6 {
		d.Text("checksum", string(config.ChecksumPseudoHeader), "as keepalived's; may go when the last one is gone")
	}
	m.password(d, i, version)
}

// rhythm is the interval of the adverts as the version can say it.
func (m *model) rhythm(i *instance, version int) time.Duration {
	step, low, high := 10*time.Millisecond, 10*time.Millisecond, 4095*10*time.Millisecond
	if version == 2 {
		step, low, high = time.Second, time.Second, 255*time.Second
	}
	d := min(max(i.interval.Round(step), low), high)
	if d != i.interval {
		m.note(i.at, "vrrp_instance %s: advert_int %s becomes %s, which version %d can say", i.name, i.interval, d, version)
	}
	return d
}

func (m *model) preemption(d *config.Draft, i *instance) {
	if i.nopreempt {
		d.Text("preempt", string(config.PreemptBand), "nopreempt")
		if i.preemptDelay > 0 {
			m.note(i.at, "vrrp_instance %s: preempt_delay is left out, as nopreempt stands beside it", i.name)
		}
		return
	}
	d.Text("preempt", string(config.PreemptAlways), "as keepalived without nopreempt")
	m.generally("preempt: always moves a VIP back to the node of the highest priority, as keepalived does without nopreempt; when the last keepalived is gone leave it out, and a VIP stays where all is well")
	if i.preemptDelay > 0 {
		d.Duration("preempt_delay", min(i.preemptDelay, time.Hour), "")
	}
}

// peers are the unicast peers that the adverts can go to.
func (m *model) peers(i *instance, addresses []netip.Addr) []netip.Addr {
	all := make([]netip.Addr, 0, len(i.peers))
	for _, p := range i.peers {
		if p.Is6() != addresses[0].Is6() || slices.Contains(addresses, p) {
			m.note(i.at, "vrrp_instance %s: the peer %s is left out; peers are the nodes' own addresses, of the family of the VIP", i.name, p)
			continue
		}
		all = append(all, p)
	}
	return all
}

func (m *model) password(d *config.Draft, i *instance, version int) {
	switch {
	case i.authType == "" && i.password == "":
	case strings.EqualFold(i.authType, "AH"):
		m.note(i.at, "vrrp_instance %s: auth_type AH is not translated: vipd does not speak it; change to PASS, or to none, on all nodes first", i.name)
	case version == 3:
		m.note(i.at, "vrrp_instance %s: the password is left out: version 3 has none, in keepalived neither; auth_key_file authenticates vipd's hellos", i.name)
	default:
		const most = 8 // bytes that keepalived uses
		password := i.password[:min(len(i.password), most)]
		if strings.ContainsFunc(password, func(r rune) bool { return r < ' ' || r > '~' }) {
			m.note(i.at, "vrrp_instance %s: the password is left out: it has characters other than ASCII", i.name)
			return
		}
		d.Text("password", password, "")
	}
}
