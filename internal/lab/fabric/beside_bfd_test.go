package fabric

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vipd/vipd/bgp"
	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/router"
)

// FRR's bfdd, and BIRD as it comes, hold BFD's port on all addresses.
func TestBesideAnotherBFDDaemonOnTheHost(t *testing.T) {
	guest := router.Node{Address: netip.MustParseAddr("10.77.0.51"), ASN: 64999}
	begin := func(strict bool, start func(context.Context, *lab.Host, router.Peering) (router.Router, error)) func(*stage, *lab.Host) router.Router {
		return func(s *stage, h *lab.Host) router.Router {
			s.t.Helper()
			r, err := start(s.ctx(), h, router.Peering{
				ASN: guest.ASN, Source: guest.Address, Connects: true, BFD: s.opts.Peering.BFD, StrictBind: strict,
				Nodes: []router.Node{{Address: s.Lab.Router.Addr4, ASN: RouterASN}},
			})
			s.must(err)
			return r
		}
	}
	rows := []struct {
		name  string
		start func(*stage, *lab.Host) router.Router
		// excludes: vipd has no BFD while that one runs.
		excludes bool
	}{
		{"FRR excludes vipd's", begin(false, FRR), true},
		{"BIRD excludes vipd's", begin(false, BIRD), true},
		{"BIRD with strict bind, from another address, does not", begin(true, BIRD), false},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			opts := watched(100 * time.Millisecond)
			opts.Hosts, opts.BGP, opts.Peering.Guests = 2, []string{quick}, []router.Node{guest}
			s := open(t, opts, "bird")
			host := s.Lab.Hosts[0]
			s.must(s.Daemon(host).Signal(15))
			_, err := s.Daemon(host).Wait(s.ctx())
			s.must(err)
			_, err = host.Run(s.ctx(), "ip", "address", "add", guest.Address.String()+"/24", "dev", host.Interface)
			s.must(err)
			other := row.start(s, host)
			s.must(s.StartDaemon(host))
			s.must(s.AwaitPaths(s.ctx(), VIP4(), s.Lab.Hosts...))
			if !row.excludes {
				s.awaitBFD(host, bgp.BFDUp)
				s.await("BFD of both with the router", func() error {
					states, err := s.Router.BFD(s.ctx())
					if err == nil && (states[guest.Address] != "up" || states[host.Addr4] != "up") {
						err = fmt.Errorf("%v", states)
					}
					return err
				})
				return
			}
			s.await("a session without BFD, and the reason", func() error {
				n := s.neighbours(host)[0]
				if n.State != bgp.Established || n.BFD != bgp.BFDDown || !strings.Contains(n.Error, "strict bind") {
					return fmt.Errorf("it is %s, BFD %s, %q", n.State, n.BFD, n.Error)
				}
				return nil
			})
			s.must(other.Kill())
			s.awaitBFD(host, bgp.BFDUp)
		})
	}
}
