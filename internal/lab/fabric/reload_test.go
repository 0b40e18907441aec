package fabric

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/vipd/vipd/bgp"
	"github.com/vipd/vipd/internal/lab/router"
)

func TestStatusTellsWhatTheRouterSays(t *testing.T) {
	s := open(t, Options{Hosts: 2, BGP: []string{quick}})
	host := s.Lab.Hosts[0]
	frr := s.Router.(*router.FRR)
	says := func(command, words string) {
		t.Helper()
		s.must(frr.Configure(s.ctx(), fmt.Sprintf("router bgp %d", RouterASN), command))
		s.await(words, func() error {
			if n := s.neighbours(host)[0]; n.State == bgp.Established || !strings.Contains(n.Error, words) {
				return fmt.Errorf("it is %s, %q", n.State, n.Error)
			}
			return nil
		})
	}
	says(fmt.Sprintf("neighbor %s shutdown message moved to rack 7", host.Addr4), `administrative shutdown), "moved to rack 7"`)
	says(fmt.Sprintf("no neighbor %s", host.Addr4), "closed the connection before there was a session")
}

// A router knows a neighbour by one address, so the two sessions exclude each other
// until the former one is left.
func TestAReloadNamesTheSameRouterByAnotherAddress(t *testing.T) {
	s := open(t, Options{Hosts: 2, BGP: []string{quick}})
	host, other := s.Lab.Hosts[0], netip.MustParseAddr("10.77.0.2")
	_, err := s.Lab.Router.Run(s.ctx(), "ip", "address", "add", other.String()+"/24", "dev", s.Lab.Router.Interface)
	s.must(err)
	file := s.Vipd.ConfigFile(host)
	text, err := os.ReadFile(file)
	s.must(err)
	s.must(os.WriteFile(file, []byte(strings.Replace(string(text), s.Lab.Router.Addr4.String(), other.String(), 1)), 0o600))
	_, err = s.Vipd.Command(s.ctx(), host, "reload")
	s.must(err)
	s.await("the session with the other address alone", func() error {
		all := s.neighbours(host)
		if len(all) != 1 || all[0].Address != other || all[0].State != bgp.Established {
			return fmt.Errorf("%+v", all)
		}
		return nil
	})
	s.must(s.AwaitPaths(s.ctx(), VIP4(), s.Lab.Hosts...))
}
