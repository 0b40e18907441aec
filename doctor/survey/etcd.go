package survey

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/doctor"
	"github.com/vipd/vipd/election/lease/etcd"
)

// askEtcd asks the cluster's etcd what it is asked by the daemon, by the files that the
// configuration names, and changes nothing there.
func (s *survey) askEtcd(ctx context.Context) {
	if s.config == nil || !s.config.UsesEtcd() {
		return
	}
	e := s.config.Etcd
	client, err := etcd.Open(etcd.Config{Endpoints: e.Endpoints, CAFile: e.CAFile, CertFile: e.CertFile, KeyFile: e.KeyFile})
	if err != nil {
		s.facts.Etcd = doctor.Unknown[*doctor.Etcd](err.Error())
		return
	}
	defer func() { _ = client.Close() }() // nothing is asked any more
	now, err := client.Condition(ctx)
	var about etcd.CertificateError
	switch {
	case errors.Is(err, fs.ErrPermission):
		s.facts.Etcd = doctor.Unknown[*doctor.Etcd](needsRoot(err))
	case err != nil:
		s.facts.Etcd = doctor.Known(&doctor.Etcd{Silent: err.Error(), Distrust: errors.As(err, &about)})
	default:
		s.facts.Etcd = condition(now)
	}
}

func condition(now etcd.Condition) doctor.Fact[*doctor.Etcd] {
	seen := &doctor.Etcd{Alarms: now.Alarms, ShownUntil: now.ShownUntil}
	if now.KeysErr != nil {
		seen.Keyless = now.KeysErr.Error()
	}
	for _, m := range now.Members {
		at := agent.ClusterMember{URLs: slices.Concat(m.PeerURLs, m.ClientURLs)}
		seen.Members = append(seen.Members, at.Addresses()...)
	}
	fact := doctor.Known(seen)
	if now.AlarmsErr != nil {
		fact.Missing = fmt.Sprintf("etcd's alarms: %v", now.AlarmsErr)
	}
	return fact
}
