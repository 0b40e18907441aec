package agent

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/bgp"
)

// toldRouters are the routers that the speaker is to have sessions with.
func (f *fabric) toldRouters() []string {
	synctest.Wait()
	var all []string
	for _, n := range f.newest().Neighbors {
		all = append(all, n.Address.String())
	}
	return all
}

// sessions reports established sessions with exactly these.
func (n *node) sessions(routers ...string) {
	r := bgp.Report{}
	for _, router := range routers {
		r.Neighbors = append(r.Neighbors, bgp.NeighborReport{Address: netip.MustParseAddr(router), ASN: 64500, State: bgp.Established})
	}
	n.process.agent.Post(n.t.Context(), SpeakerChanged{Running: true, Report: r})
	synctest.Wait()
}

func TestFormerRoutersAreKeptUntilNewOnesAreThere(t *testing.T) {
	const first, second, third = "192.0.2.1", "192.0.2.2", "192.0.2.3"
	with := func(routers ...string) string {
		all := make([]string, len(routers))
		for i, r := range routers {
			all[i] = "{address: " + r + ", asn: 64500}"
		}
		return strings.Replace(routed, "{address: 192.0.2.1, asn: 64500}", strings.Join(all, ", "), 1)
	}
	const wait, beat = 500 * time.Millisecond, bgp.Beat
	rows := []struct {
		name  string
		story func(n *node)
		want  []string
	}{
		{"not there yet", func(*node) {}, []string{second, first}},
		{"there, and routers have had no time to use it", func(n *node) { n.sessions(first, second) }, []string{second, first}},
		{"there for long enough", func(n *node) { n.sessions(first, second); time.Sleep(wait) }, []string{second}},
		{"never there: the former one is kept for a while", func(*node) { time.Sleep(arrival - 1) }, []string{second, first}},
		{"and not for longer", func(*node) { time.Sleep(arrival + beat) }, []string{second}},
		{"another reload changes nothing of it", func(n *node) {
			n.mustReload(strings.Replace(with(second), "return_delay: 5s", "return_delay: 6s", 1))
		}, []string{second, first}},
		{"nor does it give more time", func(n *node) {
			time.Sleep(arrival / 2)
			n.mustReload(with(third))
			time.Sleep(arrival/2 + beat)
		}, []string{third}},
		{"a third one, while the second is not there", func(n *node) { n.mustReload(with(third)) }, []string{third, second, first}},
		{"a third one beside it", func(n *node) { n.mustReload(with(second, third)); n.sessions(first, second); time.Sleep(wait) }, []string{second, third, first}},
		{"the former one is back", func(n *node) { n.mustReload(with(first)); time.Sleep(wait) }, []string{first}},
		{"this node is of another AS now, and former ones know no such node", func(n *node) {
			n.mustReload(strings.Replace(with(third), "asn: 64512", "asn: 64513", 1))
		}, []string{third}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			hushedBubble(t, func(t *testing.T, l *lan) {
				n, f := l.routedAt(with(first))
				n.sessions(first)
				n.mustReload(with(second))
				row.story(n)
				if diff := cmp.Diff(row.want, f.toldRouters()); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
			})
		})
	}
}
