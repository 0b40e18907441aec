package e2e

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/control"
	"github.com/vipd/vipd/internal/lab"
)

// Nodes know each other by hellos, over real sockets: every node shows the whole
// cluster, and a drain that nobody can answer is refused at once.
func TestHellos(t *testing.T) {
	s := open(t, setup{})
	s.part("each node shows all others", func(s *stage) {
		for _, h := range s.Lab.Hosts {
			for _, o := range s.others(h) {
				s.awaitPeer(h, o, "acquainted", func(p agent.PeerStatus) bool {
					return p.Condition == "alive" && p.Hears && len(p.VIPs) == 1 && p.VIPs[0].Healthy
				})
			}
		}
	})
	s.part("nobody can: a drain is refused without waiting for its timeout", func(s *stage) {
		owner := s.settle()
		for _, h := range s.others(owner) {
			s.exits(0, h, "drain")
			s.awaitPeer(owner, h, "drained", func(p agent.PeerStatus) bool { return p.VIPs[0].Drained })
		}
		s.says(s.exits(3, owner, "drain", "--timeout", "1h"), "is drained")
		for _, h := range s.others(owner) {
			s.exits(0, h, "undrain")
		}
		s.settleOn(owner)
	})
	s.part("a dead API server is told, and so is its return", func(s *stage) {
		owner := s.settle()
		sick := s.others(owner)[0]
		s.must(s.APIServer(sick).Kill())
		s.awaitPeer(owner, sick, "unhealthy", func(p agent.PeerStatus) bool { return p.VIPs[0].APIServer == "dead" })
		_, err := s.APIServer(sick).Wait(s.ctx())
		s.must(err)
		s.must(s.StartAPIServer(s.ctx(), sick))
		s.awaitPeer(owner, sick, "healthy", func(p agent.PeerStatus) bool { return p.VIPs[0].Healthy })
	})
	s.part("a daemon that stops says so", func(s *stage) {
		owner := s.settle()
		gone := s.others(owner)[0]
		s.stop(gone, syscall.SIGTERM)
		s.awaitPeer(owner, gone, "gone", func(p agent.PeerStatus) bool { return p.Condition == "left" })
	})
}

// awaitPeer waits until a host sees another one like that.
func (s *stage) awaitPeer(h, of *lab.Host, what string, cond func(agent.PeerStatus) bool) {
	s.t.Helper()
	client := control.NewClient(s.vipd.Socket(h))
	defer client.Close()
	s.await(fmt.Sprintf("%s to see %s as %s", h, of, what), func() error {
		status, err := client.Status(s.ctx())
		if err != nil {
			return err
		}
		for _, p := range status.Peers {
			if p.Node == of.Name && cond(p) {
				return nil
			}
		}
		return fmt.Errorf("it sees %+v", status.Peers)
	})
}
