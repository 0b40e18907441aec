package survey

import (
	"errors"
	"fmt"
	"os"

	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/doctor"
	"github.com/vipd/vipd/metrics"
	"github.com/vipd/vipd/peer"
)

// readConfiguration reads the file, what it names, and how it fits the host.
func (s *survey) readConfiguration() {
	f := &s.facts
	c, err := config.Load(s.Path)
	if err != nil {
		f.Problems = lines(err)
		return
	}
	s.config, f.Config = c, c
	f.Warnings = config.SettingWarnings(c)
	host := s.host()
	if f.Links.Missing == "" {
		f.Unfit = lines(config.CheckHost(c, host))
	}
	for _, v := range c.VIPs {
		g := doctor.Group{VIP: v}
		g.Link, _ = config.ResolveInterface(v, host)
		f.Groups = append(f.Groups, g)
	}
	s.readCompanions()
}

// lines are the single problems of an error.
func lines(err error) []string {
	var problems config.Problems
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &problems):
		return []string{err.Error()}
	}
	all := make([]string, len(problems))
	for i, p := range problems {
		all[i] = p.Error()
	}
	return all
}

// host is this host as package config wants it.
func (s *survey) host() []config.Interface {
	all := make([]config.Interface, 0, len(s.facts.Links.Value))
	for _, l := range s.facts.Links.Value {
		i := config.Interface{Name: l.Name}
		for _, a := range l.Addresses {
			i.Prefixes = append(i.Prefixes, a.Prefix)
		}
		all = append(all, i)
	}
	return all
}

// readCompanions looks whether files that the configuration names hold what they
// should. One that this command cannot read is a matter of lookAtFiles.
func (s *survey) readCompanions() {
	note := func(id doctor.ID, key string, err error) {
		if err != nil && !errors.Is(err, os.ErrPermission) {
			s.facts.Companions = append(s.facts.Companions, doctor.Companion{ID: id, Key: key, Problem: err.Error()})
		}
	}
	c := s.config
	if c.AuthKeyFile != "" {
		content, err := os.ReadFile(c.AuthKeyFile)
		if err == nil {
			_, err = peer.NewKeyring(content, c.Cluster)
		}
		note(doctor.KeyFile, "auth_key_file", err)
	}
	for i, v := range c.VIPs {
		if v.VRRP.PeersFile == "" {
			continue
		}
		content, err := os.ReadFile(v.VRRP.PeersFile)
		if err == nil {
			peers, wrong := config.ReadPeers(content)
			if err = wrong; err == nil {
				err = c.CheckPeers(v, peers)
				s.facts.Groups[i].VRRP.Peers = peers
			}
		}
		note(doctor.PeersFile, fmt.Sprintf("vips[%d].vrrp.peers_file", i), err)
	}
	note(doctor.WebConfig, "metrics.web_config", metrics.CheckWebConfig(c.Metrics.WebConfig))
}
