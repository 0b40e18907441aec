package etcd

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Member is one of the cluster's etcd servers.
type Member struct {
	ID uint64 `json:"id"`
	// Name is empty until the member has started for the first time.
	Name string `json:"name"`
	// PeerURLs are where other members reach it; ClientURLs, which it does not
	// have before its first start, where clients do.
	PeerURLs   []string `json:"peer_urls"`
	ClientURLs []string `json:"client_urls"`
	// Learner: it does not vote yet.
	Learner bool `json:"learner"`
}

// String names a member for people.
func (m Member) String() string {
	if m.Name == "" {
		return strconv.FormatUint(m.ID, 16)
	}
	return m.Name
}

// Members asks one endpoint who is in the cluster, in the order of their names.
// It answers from its own memory: that costs no exchange between members, and
// needs no quorum, so the answer may be as old as the last thing that this
// member heard from the others.
func (c *Client) Members(ctx context.Context) ([]Member, error) {
	var all []Member
	err := c.call(ctx, func(ctx context.Context) error {
		answer, err := c.etcd.MemberList(ctx, clientv3.WithSerializable())
		if err != nil {
			return err
		}
		for _, m := range answer.Members {
			all = append(all, Member{
				ID: m.ID, Name: m.Name, PeerURLs: m.PeerURLs, ClientURLs: m.ClientURLs, Learner: m.IsLearner,
			})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list etcd's members: %w", err)
	}
	slices.SortFunc(all, func(a, b Member) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	return all, nil
}
