package etcd

import (
	"encoding/json"
	"net/netip"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/vipd/vipd/election/lease"
)

// unclaimed compares that no other group claims one of the addresses: there is no key
// beside this group's, before it nor after it. A comparison of a range is one of each
// key in it, and where there is none of version 0.
func unclaimed(g Group, all lease.Addresses) []clientv3.Cmp {
	addrs := all.List()
	none := make([]clientv3.Cmp, 0, 2*len(addrs)+1)
	for _, a := range addrs {
		place, own := g.claims(a), g.claim(a)
		none = append(none,
			clientv3.Compare(clientv3.Version(place), "=", 0).WithRange(own),
			clientv3.Compare(clientv3.Version(own+"\x00"), "=", 0).WithRange(clientv3.GetPrefixRangeEnd(place)))
	}
	return none
}

// claiming claims what an order's owner has, bound to a lease, and gives up what the
// former one had beside it.
func claiming(g Group, o lease.Order, to lease.ID) []clientv3.Op {
	claims, lost := o.Owner.Addresses.List(), o.Former.Without(o.Owner.Addresses)
	all := make([]clientv3.Op, 0, len(claims)+len(lost)+2)
	for _, a := range claims {
		all = append(all, clientv3.OpPut(g.claim(a), claim{o.Owner.Node}.String(), clientv3.WithLease(clientv3.LeaseID(to))))
	}
	for _, a := range lost {
		all = append(all, clientv3.OpDelete(g.claim(a)))
	}
	return all
}

// claimants read who claims the addresses.
func claimants(g Group, all lease.Addresses) []clientv3.Op {
	addrs := all.List()
	reads := make([]clientv3.Op, 0, len(addrs))
	for _, a := range addrs {
		reads = append(reads, clientv3.OpGet(g.claims(a), clientv3.WithPrefix()))
	}
	return reads
}

// claimed is who claims them, but the group itself.
func claimed(g Group, answers []*pb.ResponseOp) []lease.Claim {
	var all []lease.Claim
	for _, answer := range answers {
		for _, kv := range answer.GetResponseRange().GetKvs() {
			addr, vip, _ := strings.Cut(strings.TrimPrefix(string(kv.Key), g.addresses()), "/")
			a, err := netip.ParseAddr(addr)
			if err != nil || vip == g.VIP {
				continue
			}
			var c claim
			_ = json.Unmarshal(kv.Value, &c) // somebody's all the same
			all = append(all, lease.Claim{Addr: a, VIP: vip, Node: c.Node})
		}
	}
	return all
}
