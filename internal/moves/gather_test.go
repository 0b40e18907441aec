package moves

import (
	"context"
	"fmt"
	"time"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/daemon"
)

// gather makes the owner of the main group that of the pairs' too. Each group
// chooses a successor of its own, and on a busy machine, where a backup is heard
// late, those of one node may choose two.
func (s *stage) gather() {
	s.t.Helper()
	if s.vipd.pairless {
		return
	}
	statuses, owners := s.survey()
	want := owners[mainVIP]
	if owners[pairVIP] == want {
		return
	}
	s.exits(0, want, "undrain", "--vip", pairVIP)
	var drained []*lab.Host
	for _, h := range append(s.others(want, owners[pairVIP]), owners[pairVIP]) {
		if statuses[h].Drained {
			continue // it takes none, and stays as it is
		}
		s.exits(0, h, "drain", "--vip", pairVIP)
		drained = append(drained, h)
	}
	for _, h := range drained {
		s.exits(0, h, "undrain", "--vip", pairVIP)
	}
}

// survey waits until each group has one owner, and all other nodes are ready to
// take it over. It returns what the daemons say, and the owners by group.
func (s *stage) survey() (statuses map[*lab.Host]agent.Status, owners map[string]*lab.Host) {
	s.t.Helper()
	s.await("one owner of each VIP and ready backups", func() (err error) {
		statuses, owners, err = s.surveyed()
		return err
	})
	return statuses, owners
}

func (s *stage) surveyed() (map[*lab.Host]agent.Status, map[string]*lab.Host, error) {
	ctx, cancel := context.WithTimeout(s.ctx(), time.Second) // a frozen daemon does not answer
	defer cancel()
	statuses, owners := map[*lab.Host]agent.Status{}, map[string]*lab.Host{}
	for _, h := range s.Lab.Hosts {
		status, err := s.vipd.status(ctx, h)
		if err != nil {
			return nil, nil, err
		}
		statuses[h] = status
		for _, v := range status.VIPs {
			switch owner := owners[v.Name]; groupState(v) {
			case daemon.Ready:
			case daemon.Unready:
				return nil, nil, fmt.Errorf("%s is not ready for %s: it is %s, healthy %t", h, v.Name, v.State, v.Healthy)
			case daemon.Owner:
				if owner != nil {
					return nil, nil, fmt.Errorf("%s is owned by %s and %s", v.Name, owner, h)
				}
				owners[v.Name] = h
			}
		}
	}
	for _, name := range []string{mainVIP, pairVIP} {
		if owners[name] == nil {
			return nil, nil, fmt.Errorf("nobody owns %s", name)
		}
	}
	return statuses, owners, nil
}
