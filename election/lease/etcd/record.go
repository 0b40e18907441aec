package etcd

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/vipd/vipd/election"
	"github.com/vipd/vipd/election/lease"
)

// Group is a VIP group's place in etcd: keys below /vipd/CLUSTER/VIP/.
//
//	owner              who holds the VIP; bound to its lease
//	renewal            written by the owner each time that it renews; bound to its lease
//	candidates/NODE    who would, and how fit it is; bound to its lease
//	history/00 to 31   the last changes of the owner, in a ring
//
// Beside the groups is what their owners claim, bound to their leases. No group has a
// name that begins so.
//
//	_addresses/ADDRESS/VIP
//
// Values are JSON, for etcdctl and people. Nobody but vipd may write them.
type Group struct{ Cluster, VIP string }

// root is where all of vipd's keys are.
const root = "/vipd/"

// historyLength is how many changes of the owner are remembered.
const historyLength = 32

func (g Group) prefix() string { return root + g.Cluster + "/" + g.VIP + "/" }

func (g Group) owner() string { return g.prefix() + "owner" }

func (g Group) renewal() string { return g.prefix() + "renewal" }

func (g Group) candidates() string { return g.prefix() + "candidates/" }

func (g Group) candidate(node string) string { return g.candidates() + node }

func (g Group) history(term uint64) string {
	return fmt.Sprintf("%shistory/%02d", g.prefix(), term%historyLength)
}

// addresses is where the cluster's groups claim addresses.
func (g Group) addresses() string { return root + g.Cluster + "/_addresses/" }

// claims is where they claim one; each has its own key there.
func (g Group) claims(a netip.Addr) string { return g.addresses() + a.String() + "/" }

func (g Group) claim(a netip.Addr) string { return g.claims(a) + g.VIP }

// value is what stands in a key. Fields of later versions are passed over.
type value struct {
	Node     string     `json:"node"`
	Address  netip.Addr `json:"address"`
	Band     string     `json:"band"`
	Priority uint8      `json:"priority"`
	// TTL is in seconds.
	TTL int64 `json:"ttl"`
	// Addresses are the group's.
	Addresses []netip.Addr `json:"addresses,omitempty"`
	// Term, From, Reason and Since are an owner's. Since is for people.
	Term   uint64 `json:"term,omitempty"`
	From   string `json:"from,omitempty"`
	Reason string `json:"reason,omitempty"`
	Since  string `json:"since,omitempty"`
}

func (v value) String() string { return jsonOf(v) }

// claim is what stands in a group's claim to an address.
type claim struct {
	Node string `json:"node"`
}

func (c claim) String() string { return jsonOf(c) }

// jsonOf is a key's value as text.
func jsonOf(value any) string {
	b, err := json.Marshal(value)
	if err != nil {
		panic("etcd: " + err.Error()) // it has nothing that JSON has not
	}
	return string(b)
}

func valueOf(r lease.Record) value {
	return value{
		Node: r.Node, Address: r.Addr, Band: r.Band.String(), Priority: r.Priority, TTL: int64(r.TTL / time.Second),
		Addresses: r.Addresses.List(),
	}
}

func valueOfOwner(o lease.Owner) value {
	v := valueOf(o.Record)
	v.Term, v.From, v.Reason = o.Term, o.From, string(o.Reason)
	v.Since = time.Now().UTC().Format(time.RFC3339)
	return v
}

// record is what a value says. A band that this version does not know is not one to
// pass the VIP to.
func (v value) record() lease.Record {
	r := lease.Record{
		Node: v.Node, Addr: v.Address, Band: election.Resigned, Priority: v.Priority, TTL: time.Duration(v.TTL) * time.Second,
		Addresses: lease.SetOf(v.Addresses),
	}
	for _, b := range [...]election.Band{election.Draining, election.Unhealthy, election.Healthy} {
		if b.String() == v.Band {
			r.Band = b
		}
	}
	return r
}

// notOurs stands for the lease of an owner key that is bound to none: somebody
// wrote it by hand, and it keeps everybody off.
const notOurs lease.ID = -1

// ownerOf is the owner that a key names. One that cannot be read is somebody all
// the same.
func ownerOf(kv *mvccpb.KeyValue) lease.Owner {
	var v value
	_ = json.Unmarshal(kv.Value, &v) // the zero value is nobody that this node knows
	o := lease.Owner{
		Record: v.record(), Lease: lease.ID(kv.Lease), Revision: kv.ModRevision,
		Term: v.Term, From: v.From, Reason: election.Reason(v.Reason),
	}
	if o.Lease == 0 {
		o.Lease = notOurs
	}
	return o
}

// picture is what is known of a group's keys.
type picture struct {
	group Group
	keys  map[string]*mvccpb.KeyValue
}

// view is the picture at a revision.
func (p *picture) view(epoch uint64, revision int64) lease.View {
	v := lease.View{Epoch: epoch, Revision: revision}
	for key, kv := range p.keys {
		switch {
		case key == p.group.owner():
			v.Owner = ownerOf(kv)
			v.Term = max(v.Term, v.Owner.Term)
		case key == p.group.renewal():
			v.Renewal = kv.ModRevision
		case strings.HasPrefix(key, p.group.candidates()):
			o := ownerOf(kv)
			v.Candidates = append(v.Candidates, lease.Candidate{Record: o.Record, Lease: o.Lease, Revision: o.Revision})
		case strings.HasPrefix(key, p.group.prefix()+"history/"):
			v.Term = max(v.Term, ownerOf(kv).Term)
		}
	}
	return v
}
