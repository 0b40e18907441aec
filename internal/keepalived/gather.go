package keepalived

import "slices"

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
