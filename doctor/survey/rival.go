package survey

import (
	"net/netip"
	"path"
	"strings"

	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/doctor"
)

const (
	keepalivedConfig = "/etc/keepalived/keepalived.conf"
	manifests        = "/etc/kubernetes/manifests/*.yaml"
	// includeDepth bounds files that include each other.
	includeDepth = 8
)

// findRivals looks for other programs with a VIP of ours: those that run, and
// those that the kubelet will start.
func (s *survey) findRivals() doctor.Fact[[]doctor.Rival] {
	var all []doctor.Rival
	add := func(program, where string, vips []netip.Addr) {
		for _, vip := range vips {
			all = append(all, doctor.Rival{Program: program, Where: where, VIP: vip})
		}
	}
	vips := s.vips()
	parents := map[int]bool{}
	for _, p := range s.processes.Value {
		switch p.name {
		case "keepalived":
			// Its children have the same arguments.
			if parents[p.parent()] {
				continue
			}
			parents[p.pid] = true
			file := p.file(keepalivedConfig, "-f", "--use-file")
			add("keepalived", p.where()+", by "+file+",", named(s.root.keepalived(file, includeDepth), vips))
		case "kube-vip":
			address, _ := p.variable("address")
			legacy, _ := p.variable("vip_address")
			add("kube-vip", p.where(), named(strings.Join(append(p.args, address, legacy), " "), vips))
		case "vipd":
			if p.isDaemon() && p.pid != s.pid() {
				file := p.configuration()
				add("vipd", p.where()+", by "+file+",", s.vipsOf(file, vips))
			}
		}
	}
	for _, file := range s.root.glob(manifests) {
		if text := withoutComments(s.root.read(file), "#"); strings.Contains(text, "kube-vip") {
			add("kube-vip", file, named(text, vips))
		}
	}
	return doctor.Fact[[]doctor.Rival]{Value: all, Missing: s.processes.Missing}
}

// vipsOf are the VIPs in common with another configuration of vipd.
func (s *survey) vipsOf(file string, vips []netip.Addr) []netip.Addr {
	c, err := config.Parse(file, []byte(s.root.read(file)))
	if err != nil {
		return nil
	}
	var all []netip.Addr
	for _, v := range c.VIPs {
		for _, a := range v.Addresses {
			all = append(all, named(a.String(), vips)...)
		}
	}
	return all
}

// keepalived reads a keepalived.conf with the files that it includes, as far as
// they can be read.
func (r root) keepalived(file string, depth int) string {
	text := withoutComments(r.read(file), "#!")
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) != 2 || !strings.HasPrefix(words[0], "include") || depth == 0 {
			continue
		}
		pattern := words[1]
		if !strings.HasPrefix(pattern, "/") {
			pattern = path.Join(path.Dir(file), pattern)
		}
		for _, included := range r.glob(pattern) {
			text += "\n" + r.keepalived(included, depth-1)
		}
	}
	return text
}
