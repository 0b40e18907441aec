package etcd

import (
	"context"
	"errors"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/vipd/vipd/election/lease"
)

// Leases carries out the orders of package lease. Its methods may be called by
// several goroutines.
type Leases struct {
	mu     sync.Mutex
	client *Client
	// cluster and revision are etcd's, as it told them last; epoch counts how often
	// they could not be the same store's.
	cluster  uint64
	revision int64
	epoch    uint64
	// ended is closed and replaced when epoch grows.
	ended chan struct{}
}

// NewLeases returns the leases of a client.
func NewLeases(c *Client) *Leases {
	return &Leases{client: c, epoch: 1, ended: make(chan struct{})}
}

// Use replaces the client, by one of the same cluster.
func (l *Leases) Use(c *Client) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.client = c
}

func (l *Leases) present() *Client {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.client
}

// mark is what was known of the store before a call.
type mark struct {
	revision int64
	epoch    uint64
}

func (l *Leases) mark() mark {
	l.mu.Lock()
	defer l.mu.Unlock()
	return mark{l.revision, l.epoch}
}

// heard judges an answer's header and returns the epoch that it is of. etcd's
// revision never gets less, and what is answered through its quorum is never
// behind what was answered before: so one that is less, or another cluster's, is
// that of a store that was restored from a copy, or made anew.
func (l *Leases) heard(before mark, h *pb.ResponseHeader) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	other := l.cluster != 0 && h.ClusterId != l.cluster
	if before.epoch == l.epoch && (other || h.Revision < before.revision) {
		l.epoch++
		l.revision = 0
		close(l.ended)
		l.ended = make(chan struct{})
	} else if before.epoch != l.epoch && other {
		return before.epoch
	}
	l.cluster = h.ClusterId
	l.revision = max(l.revision, h.Revision)
	return l.epoch
}

// Call carries an order out, within its timeout.
func (l *Leases) Call(ctx context.Context, g Group, o lease.Order) lease.Answer {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	a := lease.Answer{Kind: o.Kind, Number: o.Number, Sent: time.Now(), Lease: o.Lease}
	before := l.mark()
	a.Epoch = before.epoch
	var err error
	switch o.Kind {
	case lease.Renew:
		err = l.insist(ctx, g, o, before, &a)
	case lease.Stand:
		err = l.stand(ctx, g, o, before, &a)
	case lease.Take:
		put := clientv3.OpPut(g.owner(), valueOfOwner(o.Owner).String(), clientv3.WithLease(clientv3.LeaseID(o.Lease)))
		var also []clientv3.Cmp
		if o.Seen == 0 { // an owner that came and went has written its term
			also = append(also, clientv3.Compare(clientv3.ModRevision(g.history(o.Owner.Term)), "<", o.Viewed+1))
		}
		if o.Unrenewed {
			also = append(also, clientv3.Compare(clientv3.ModRevision(g.renewal()), "=", o.Renewal))
		}
		err = l.change(ctx, g, o, before, &a, []clientv3.Op{put, remembered(g, o)}, also...)
	case lease.Pass:
		put := clientv3.OpPut(g.owner(), valueOfOwner(o.Owner).String(), clientv3.WithLease(clientv3.LeaseID(o.To.Lease)))
		same := clientv3.Compare(clientv3.ModRevision(g.candidate(o.To.Node)), "=", o.To.Revision)
		err = l.change(ctx, g, o, before, &a, []clientv3.Op{put, remembered(g, o)}, same)
	case lease.Resign:
		stand := clientv3.OpPut(g.candidate(o.Self.Node), valueOf(o.Self).String(), clientv3.WithLease(clientv3.LeaseID(o.Lease)))
		err = l.change(ctx, g, o, before, &a, []clientv3.Op{clientv3.OpDelete(g.owner()), stand})
	case lease.Leave:
		_, err = l.present().etcd.Revoke(ctx, clientv3.LeaseID(o.Lease))
		a.Done = err == nil
	default:
		panic("etcd: unhandled order")
	}
	switch {
	case err == nil:
	case errors.Is(err, rpctypes.ErrLeaseNotFound):
		a.Lost = o.Kind != lease.Pass // there it is the successor's
	default:
		a.Err = l.present().explain(err)
	}
	return a
}

// renewAgain is when a renewal that has no answer is asked for once more.
const renewAgain = 500 * time.Millisecond

// renewal is what became of one try to renew.
type renewal struct {
	answer lease.Answer
	err    error
}

// insist renews, and asks once more, beside the former try, when there is no
// answer. A member of etcd hands a renewal to its leader, and one that it handed
// to a leader that is gone it does not hand to the next one.
func (l *Leases) insist(ctx context.Context, g Group, o lease.Order, before mark, a *lease.Answer) error {
	if o.Lease == 0 {
		return l.renew(ctx, g, o, before, a) // each try would leave a lease behind
	}
	tries, none := make(chan renewal, o.Timeout/renewAgain+1), *a
	try := func() {
		r := renewal{answer: none}
		r.answer.Sent = time.Now()
		r.err = l.renew(ctx, g, o, before, &r.answer)
		tries <- r
	}
	again := time.NewTicker(renewAgain)
	defer again.Stop()
	go try()
	for underWay := 1; ; {
		select {
		case r := <-tries:
			underWay--
			known := r.err == nil || errors.Is(r.err, rpctypes.ErrLeaseNotFound)
			if known || underWay == 0 {
				*a = r.answer
				return r.err
			}
		case <-again.C:
			if ctx.Err() == nil {
				underWay++
				go try()
			}
		}
	}
}

// renew keeps the lease alive, or makes one, writes an owner's renewal, and reads the
// owner key.
func (l *Leases) renew(ctx context.Context, g Group, o lease.Order, before mark, a *lease.Answer) error {
	term, err := l.prolong(ctx, o, a)
	if err != nil {
		return err
	}
	read := clientv3.OpGet(g.owner())
	question := l.present().etcd.Txn(ctx)
	if o.Seen != 0 {
		owns := clientv3.Compare(clientv3.ModRevision(g.owner()), "=", o.Seen)
		write := clientv3.OpPut(g.renewal(), valueOf(o.Self).String(), clientv3.WithLease(clientv3.LeaseID(a.Lease)))
		question = question.If(owns).Then(read, write).Else(read)
	} else {
		question = question.Then(read)
	}
	answer, err := question.Commit()
	if err != nil {
		return err
	}
	if term != 0 && answer.Header.RaftTerm != term {
		return errFormerLeader
	}
	a.Done, a.Epoch, a.Revision = true, l.heard(before, answer.Header), answer.Header.Revision
	a.Renewed = o.Seen != 0 && answer.Succeeded
	if found := answer.Responses[0].GetResponseRange().Kvs; len(found) > 0 {
		a.Owner = ownerOf(found[0])
	}
	return nil
}

// errFormerLeader: the next try asks the leader that there is now.
var errFormerLeader = errors.New("etcd changed its leader while the lease was renewed")

// prolong returns Raft's term from before a lease was kept alive; 0: it was made,
// by the quorum. A leader keeps leases alive by itself, so one that has a successor
// and does not know it yet counts a lease on that its successor lets end. There is
// no successor if the quorum answers later in the same term.
func (l *Leases) prolong(ctx context.Context, o lease.Order, a *lease.Answer) (term uint64, err error) {
	if o.Lease == 0 {
		granted, err := l.present().etcd.Grant(ctx, int64(o.TTL/time.Second))
		if err != nil {
			return 0, err
		}
		a.Lease, a.TTL = lease.ID(granted.ID), time.Duration(granted.TTL)*time.Second
		return 0, nil
	}
	// The library's own call for this tries again without a pause while there is no
	// connection.
	stream, err := pb.NewLeaseClient(l.present().etcd.ActiveConnection()).LeaseKeepAlive(ctx)
	if err != nil {
		return 0, err
	}
	if err := stream.Send(&pb.LeaseKeepAliveRequest{ID: int64(o.Lease)}); err != nil {
		return 0, err
	}
	kept, err := stream.Recv()
	switch {
	case err != nil:
		return 0, err
	case kept.TTL <= 0:
		return 0, rpctypes.ErrLeaseNotFound
	}
	a.TTL = time.Duration(kept.TTL) * time.Second
	return kept.Header.GetRaftTerm(), nil
}

func (l *Leases) stand(ctx context.Context, g Group, o lease.Order, before mark, a *lease.Answer) error {
	answer, err := l.present().etcd.Put(ctx, g.candidate(o.Self.Node), valueOf(o.Self).String(), clientv3.WithLease(clientv3.LeaseID(o.Lease)))
	if err != nil {
		return err
	}
	a.Done, a.Epoch = true, l.heard(before, answer.Header)
	return nil
}

// change changes the owner key if it is as the order says.
func (l *Leases) change(ctx context.Context, g Group, o lease.Order, before mark, a *lease.Answer, then []clientv3.Op, also ...clientv3.Cmp) error {
	unchanged := append([]clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(g.owner()), "=", o.Seen)}, also...)
	answer, err := l.present().etcd.Txn(ctx).If(unchanged...).Then(then...).Else(clientv3.OpGet(g.owner()), clientv3.OpGet(g.renewal())).Commit()
	if err != nil {
		return err
	}
	a.Done, a.Epoch, a.Revision = answer.Succeeded, l.heard(before, answer.Header), answer.Header.Revision
	switch {
	case !answer.Succeeded:
		if found := answer.Responses[0].GetResponseRange().Kvs; len(found) > 0 {
			a.Owner = ownerOf(found[0])
		}
		if found := answer.Responses[1].GetResponseRange().Kvs; len(found) > 0 {
			a.Renewal = found[0].ModRevision
		}
	case o.Kind == lease.Pass:
		a.Owner = o.Owner
		a.Owner.Lease, a.Owner.Revision = o.To.Lease, a.Revision
	case o.Kind == lease.Take:
		a.Owner = o.Owner
		a.Owner.Lease, a.Owner.Revision = o.Lease, a.Revision
	}
	return nil
}

// remembered writes the new owner into the group's history.
func remembered(g Group, o lease.Order) clientv3.Op {
	return clientv3.OpPut(g.history(o.Owner.Term), valueOfOwner(o.Owner).String())
}

const (
	// readTimeout bounds the reading of a group's keys.
	readTimeout = time.Second
	// watchPause is the pause before a watch that ended is begun again.
	watchPause = 250 * time.Millisecond
)

// Watch tells what a group's keys are, at first and after each change, and why
// that cannot be learned, each time that it cannot, until ctx ends.
func (l *Leases) Watch(ctx context.Context, g Group, seen func(lease.View), trouble func(error)) {
	for ctx.Err() == nil {
		if err := l.follow(ctx, g, seen); err != nil && ctx.Err() == nil {
			trouble(l.present().explain(err))
		}
		select {
		case <-time.After(watchPause):
		case <-ctx.Done():
		}
	}
}

// follow reads the keys and follows their changes, until it cannot, or the store
// is another one.
func (l *Leases) follow(ctx context.Context, g Group, seen func(lease.View)) error {
	before := l.mark()
	read, cancelRead := context.WithTimeout(ctx, readTimeout)
	defer cancelRead()
	answer, err := l.present().etcd.Get(read, g.prefix(), clientv3.WithPrefix())
	if err != nil {
		return err
	}
	epoch := l.heard(before, answer.Header)
	l.mu.Lock()
	ended, present := l.ended, l.epoch
	l.mu.Unlock()
	if present != epoch {
		return nil
	}
	p := picture{group: g, keys: map[string]*mvccpb.KeyValue{}}
	for _, kv := range answer.Kvs {
		p.keys[string(kv.Key)] = kv
	}
	seen(p.view(epoch, answer.Header.Revision))

	watching, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	changes := l.present().etcd.Watch(watching, g.prefix(), clientv3.WithPrefix(), clientv3.WithRev(answer.Header.Revision+1))
	for {
		select {
		case batch, ok := <-changes:
			if !ok {
				return ctx.Err()
			}
			if err := batch.Err(); err != nil {
				return err
			}
			at := batch.Header.Revision
			for _, ev := range batch.Events {
				at = ev.Kv.ModRevision
				if ev.Type == mvccpb.Event_DELETE {
					delete(p.keys, string(ev.Kv.Key))
				} else {
					p.keys[string(ev.Kv.Key)] = ev.Kv
				}
			}
			seen(p.view(epoch, at))
		case <-ended:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}
