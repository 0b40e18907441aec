package doctor

import (
	"fmt"
	"strings"
)

// noPeers is why the daemon is needed for checks of peers.
const noPeers = "the daemon does not run, and it alone follows the peers"

// judgePeers takes the daemon's word on the other nodes.
func judgePeers(f *Facts, v *verdict) {
	if !f.runs() {
		v.cannot(noPeers)
		return
	}
	s := f.Status.Value
	if s.Hello.Namesake {
		v.found(PeerNamesake, Error, s.Node, "another node calls itself so too, and its hellos are refused", "write another name there: node: NAME")
	}
	for i := range s.Peers {
		p := &s.Peers[i]
		switch {
		case p.Condition == "silent":
			v.found(PeerSilent, Warning, p.Node, fmt.Sprintf("no hello for %.0f s, and it did not say that it stops", p.LastHelloAgeSeconds),
				"look at that host and its daemon, and whether hellos (UDP) get through")
		case p.Condition == "alive" && !p.Hears:
			v.found(PeerDeaf, Warning, p.Node, "this node hears it, and it does not hear this node",
				fmt.Sprintf("let UDP port %d in on %s, and look whether its hello.peers or vrrp.peers lists this node", f.helloPort(), p.Node))
		}
	}
}

func (f *Facts) helloPort() uint16 {
	if f.Config == nil {
		return 0
	}
	return f.Config.Hello.Port
}

// judgeDifferences looks for settings that have to be equal on all nodes and are
// not.
func judgeDifferences(f *Facts, v *verdict) {
	if !f.runs() {
		v.cannot(noPeers)
		return
	}
	for _, p := range f.Status.Value.Peers {
		keys := append([]string{}, p.Differs...)
		for _, vip := range p.VIPs {
			for _, key := range vip.Differs {
				keys = append(keys, fmt.Sprintf("vips[%s].%s", vip.Name, key))
			}
		}
		if len(keys) > 0 {
			v.found(SettingsDiffer, Warning, p.Node, "its configuration differs from this node's in "+strings.Join(keys, ", "),
				"make the keys equal and 'vipd reload'; while a change is rolled out, nothing")
		}
	}
}
