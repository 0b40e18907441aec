package keepalived

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

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
