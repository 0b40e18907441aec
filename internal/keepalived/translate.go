package keepalived

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/vipd/vipd/config"
)

// Options are what a translation may be told.
type Options struct {
	// Apart keeps the instances of a sync group on one interface as groups of
	// their own, each with its VRID: while keepalived runs on other nodes.
	Apart bool
}

// Translation is a configuration of vipd and what is to be known of it.
type Translation struct {
	// YAML passes config.Parse.
	YAML  []byte
	Notes []Note
}

// Translate makes a configuration from statements. What vipd has nothing for is
// noted. The error says why there is no configuration: there is no
// vrrp_instance, or vipd could not run what came of them.
func Translate(statements []Statement, o Options) (*Translation, error) {
	m := read(statements)
	if len(m.instances) == 0 {
		return nil, errors.New("there is no vrrp_instance, so there is nothing to translate")
	}
	d := config.NewDraft("# Made from keepalived.conf by 'vipd import keepalived'.")
	used := map[string]bool{}
	for _, g := range m.gather(o) {
		if err := m.write(d.Element("vips"), g, used); err != nil {
			return nil, err
		}
	}
	m.generally("port is 6443, whose connections live on when a VIP moves; write another if the service has another")
	for _, text := range m.general {
		m.notes = append(m.notes, Note{Text: text})
	}
	file, err := d.YAML()
	if err != nil {
		return nil, err
	}
	if _, err := config.Parse("translation", file); err != nil {
		return nil, fmt.Errorf("vipd could not run the translation:\n%w", err)
	}
	return &Translation{YAML: file, Notes: m.notes}, nil
}

// group is what becomes an entry of vips: an instance, or those of a sync group
// on one interface.
type group struct {
	name string
	// instances are at least one; the first one's settings count.
	instances []*instance
	tracked   tracked
}

// gather makes groups of the instances, in their order.
func (m *model) gather(o Options) []group {
	merged := map[*instance]*group{}
	extra := map[*instance]tracked{}
	for _, s := range m.groups {
		members := m.members(s)
		for _, i := range members {
			extra[i] = join(extra[i], s.tracked)
		}
		switch {
		case len(members) < 2:
		case !sameLink(members):
			m.note(s.at, "vrrp_sync_group %s has instances on several interfaces, which vipd moves each by itself; losing one of the interfaces gives all of them up (track_interfaces)", s.name)
			for _, i := range members {
				extra[i] = join(extra[i], tracked{links: linksBut(members, i.link)})
			}
		case o.Apart:
			m.note(s.at, "vrrp_sync_group %s: its instances stay groups of their own for now, which may part; make them one when keepalived is gone", s.name)
		default:
			first := members[0]
			m.note(s.at, "vrrp_sync_group %s becomes one group, with the settings of %s (virtual_router_id %d) for all its addresses. While keepalived still runs on a node, use --apart", s.name, first.name, first.vrid)
			g := &group{name: s.name, instances: members}
			for _, i := range members {
				merged[i] = g
			}
		}
	}
	var all []group
	for _, i := range m.instances {
		g := merged[i]
		switch {
		case g == nil:
			all = append(all, group{name: i.name, instances: []*instance{i}, tracked: join(i.tracked, extra[i])})
		case g.instances[0] == i:
			for _, member := range g.instances {
				g.tracked = join(g.tracked, join(member.tracked, extra[member]))
			}
			all = append(all, *g)
		}
	}
	return all
}

// members are the instances of a sync group, each in one group only.
func (m *model) members(s syncGroup) []*instance {
	var all []*instance
	for _, name := range s.members {
		i := slices.IndexFunc(m.instances, func(i *instance) bool { return i.name == name })
		if i < 0 {
			m.note(s.at, "vrrp_sync_group %s: there is no vrrp_instance %s", s.name, name)
			continue
		}
		if member := m.instances[i]; !slices.Contains(all, member) {
			all = append(all, member)
		}
	}
	return all
}

func sameLink(members []*instance) bool {
	return members[0].link != "" && !slices.ContainsFunc(members, func(i *instance) bool { return i.link != members[0].link })
}

// linksBut are the interfaces of instances other than link.
func linksBut(members []*instance, link string) []string {
	var all []string
	for _, i := range members {
		if i.link != "" && i.link != link {
			all = append(all, i.link)
		}
	}
	return all
}

// join is what either tracks, once each.
func join(a, b tracked) tracked {
	t := tracked{scripts: slices.Clone(a.scripts), links: slices.Clone(a.links)}
	for _, s := range b.scripts {
		if !slices.ContainsFunc(t.scripts, func(o trackedScript) bool { return o.name == s.name }) {
			t.scripts = append(t.scripts, s)
		}
	}
	for _, l := range b.links {
		if !slices.Contains(t.links, l) {
			t.links = append(t.links, l)
		}
	}
	return t
}

// write adds a group to the draft.
func (m *model) write(d *config.Draft, g group, used map[string]bool) error {
	first := g.instances[0]
	addresses := addressesOf(g.instances)
	if len(addresses) == 0 {
		return &Problem{first.at.File, first.at.Line, "vrrp_instance " + first.name + " has no address that vipd could hold"}
	}
	if first.vrid == 0 {
		return &Problem{first.at.File, first.at.Line, "vrrp_instance " + first.name + " has no virtual_router_id; write it"}
	}
	d.Text("name", named(g.name, used), "")
	d.List("addresses", texts(addresses), "")
	if first.link != "" {
		d.Text("interface", first.link, "")
	}
	if links := slices.DeleteFunc(slices.Clone(g.tracked.links), func(l string) bool { return l == first.link }); len(links) > 0 {
		d.List("track_interfaces", links, "")
	}
	checks := m.checks(g)
	m.election(d.Section("vrrp"), first, addresses, checks)
	m.health(d, first, g.tracked, checks)
	return nil
}

// addressesOf are the addresses of instances, those in the adverts first.
func addressesOf(instances []*instance) []netip.Addr {
	var all []netip.Addr
	add := func(list []netip.Addr) {
		for _, a := range list {
			if !slices.Contains(all, a) {
				all = append(all, a)
			}
		}
	}
	for _, i := range instances {
		add(i.advertised)
	}
	for _, i := range instances {
		add(i.excluded)
	}
	return all
}

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

// named is a name for a group that vipd takes, and no other group has.
func named(name string, used map[string]bool) string {
	const most = 60 // of 63, with a number to tell it from others
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(".-_", r) {
			return r
		}
		return '-'
	}, name)
	clean = strings.TrimLeft(clean, ".-_")
	clean = clean[:min(len(clean), most)]
	if clean == "" {
		clean = "vip"
	}
	unique := clean
	for n := 2; used[unique]; n++ {
		unique = fmt.Sprintf("%s-%d", clean[:min(len(clean), most-8)], n)
	}
	used[unique] = true
	return unique
}

func texts(addresses []netip.Addr) []string {
	all := make([]string, len(addresses))
	for i, a := range addresses {
		all[i] = a.String()
	}
	return all
}
