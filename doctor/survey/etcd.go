package survey

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"net/url"

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
		for _, text := range append(m.PeerURLs, m.ClientURLs...) {
			if addr, ok := hostAddress(text); ok {
				seen.Members = append(seen.Members, addr)
			}
		}
	}
	fact := doctor.Known(seen)
	if now.AlarmsErr != nil {
		fact.Missing = fmt.Sprintf("etcd's alarms: %v", now.AlarmsErr)
	}
	return fact
}

// hostAddress is the address in a URL; a name is none.
func hostAddress(text string) (netip.Addr, bool) {
	u, err := url.Parse(text)
	if err != nil {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(u.Hostname())
	return addr.Unmap(), err == nil
}
