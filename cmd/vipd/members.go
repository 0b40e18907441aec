package main

import (
	"context"
	"errors"
	"slices"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/election/lease/etcd"
	"github.com/vipd/vipd/internal/lasting"
)

// members follows etcd's members.
type members struct{ notes lasting.Directory }

func (m members) Follow(ctx context.Context, where config.Etcd, fn func(agent.Membership)) (err error) {
	client, err := etcd.Open(etcdConfig(where))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	return etcd.Membership{Client: client, Notes: m.notes}.Follow(ctx, func(s etcd.Sighting) { fn(agentMembership(s)) })
}

func etcdConfig(c config.Etcd) etcd.Config {
	return etcd.Config{Endpoints: c.Endpoints, CAFile: c.CAFile, CertFile: c.CertFile, KeyFile: c.KeyFile}
}

func agentMembership(s etcd.Sighting) agent.Membership {
	out := agent.Membership{Remembered: s.Remembered, Err: s.Err, Forgetful: s.Unnoted}
	for _, m := range s.Members {
		out.Members = append(out.Members, agent.ClusterMember{Name: m.String(), URLs: slices.Concat(m.PeerURLs, m.ClientURLs)})
	}
	return out
}
