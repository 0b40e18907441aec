package survey

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/vipd/vipd/doctor"
	"github.com/vipd/vipd/vip"
)

// listLinks lists the interfaces as they are now.
func (s *survey) listLinks() {
	all, err := vip.List()
	if err != nil {
		s.facts.Links = doctor.Unknown[[]doctor.Link](needsRoot(err))
		return
	}
	s.links = map[string]int{}
	found := make([]doctor.Link, 0, len(all))
	for _, i := range all {
		s.links[i.Name] = i.Index
		l := doctor.Link{Name: i.Name, Up: i.Up}
		for _, a := range i.Addrs {
			l.Addresses = append(l.Addresses, doctor.Address{Prefix: a.Prefix, Finite: a.Finite})
		}
		found = append(found, l)
	}
	s.facts.Links = doctor.Known(found)
}

// readSettings reads the settings of the groups' interfaces, and of those to their
// routers.
func (s *survey) readSettings() doctor.Fact[map[string]doctor.Settings] {
	names := s.facts.RouterLinks()
	for _, g := range s.facts.Groups {
		names = append(names, g.Link)
	}
	all := map[string]doctor.Settings{}
	for _, name := range names {
		if _, there := s.links[name]; !there {
			continue
		}
		settings, err := s.root.settings(name)
		if err != nil {
			return doctor.Unknown[map[string]doctor.Settings](err.Error())
		}
		all[name] = settings
	}
	return doctor.Known(all)
}

// settings reads those of one interface.
func (r root) settings(link string) (doctor.Settings, error) {
	var s doctor.Settings
	for _, v := range []struct {
		name string
		into *int
	}{{"arp_ignore", &s.ARPIgnore}, {"rp_filter", &s.RPFilter}} {
		for _, of := range []string{"all", link} {
			n, err := r.number("/proc/sys/net/ipv4/conf/" + of + "/" + v.name)
			if err != nil {
				return s, err
			}
			*v.into = max(*v.into, n)
		}
	}
	// Without IPv6 in the kernel there is no such file.
	s.IPv6Off = strings.TrimSpace(r.read("/proc/sys/net/ipv6/conf/"+link+"/disable_ipv6")) != "0"
	return s, nil
}

func (r root) number(name string) (int, error) {
	text, err := os.ReadFile(r.path(name))
	if err != nil {
		return 0, fmt.Errorf("read setting: %w", err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("read setting %s: %w", name, err)
	}
	return n, nil
}
