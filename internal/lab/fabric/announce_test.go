package fabric

import "testing"

func TestEveryNodeAnnouncesAndTheRouterSpreads(t *testing.T) {
	s := open(t, Options{BGP: []string{"return_delay: 1s"}})
	s.must(s.AwaitPaths(s.ctx(), VIP4(), s.Lab.Hosts...))
}
