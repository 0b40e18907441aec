package lease

import (
	"net/netip"
	"time"

	"github.com/vipd/vipd/election"
)

// ID is a lease's in the store; 0 is none.
type ID int64

// Record is what a node says of itself in the store.
type Record struct {
	Node string
	// Addr is where its adverts come from.
	Addr     netip.Addr
	Band     election.Band
	Priority uint8
	// TTL is how long it counts on what the store confirmed, whole seconds; 0: it
	// does not say.
	TTL time.Duration
}

// Owner is the owner key. The zero Owner: there is none.
type Owner struct {
	Record
	// Lease is what the key is bound to: when it ends, the key goes.
	Lease ID
	// Revision is the store's at the key's last change.
	Revision int64
	// Term counts owners since the store was made.
	Term uint64
	// From is the node that passed the key on; empty: it was free.
	From string
	// Reason is why it changed hands.
	Reason election.Reason
}

// Candidate is a node that would own, as long as its lease lives.
type Candidate struct {
	Record
	Lease ID
	// Revision is the store's at the candidacy's last change.
	Revision int64
}

// View is a group's part of the store, whole, at a revision.
type View struct {
	// Epoch grows when the store is found not to be the one it was: restored from
	// a copy, or made anew.
	Epoch    uint64
	Revision int64
	Owner    Owner
	// Renewal is the store's revision at the owner's last renewal; 0: there was none.
	Renewal    int64
	Candidates []Candidate
	// Term is the greatest that the store remembers.
	Term uint64
}

// Kind is what an order asks of the store.
type Kind uint8

const (
	// Renew keeps Lease alive, or makes one of TTL where it is 0, and reads the
	// owner key. The read has to be linearizable, and begun after Sent. If the owner
	// key's revision is still Seen, and that is not 0, it writes Self as
	// renewal, bound to Lease, in one transaction with the read.
	Renew Kind = iota
	// Stand writes Self as candidacy, bound to Lease.
	Stand
	// Take writes Owner, bound to Lease, if the owner key's revision is still
	// Seen; 0: if there is none, and there was none since Viewed that came and went.
	// With Unrenewed, the renewal's has to be Renewal still.
	Take
	// Pass writes Owner, bound to To's lease, if the owner key's revision is still
	// Seen and the candidacy's To's.
	Pass
	// Resign deletes the owner key if its revision is still Seen, and writes Self, who
	// has resigned, as candidacy, bound to Lease: so all see that the key was given
	// up, and not deleted by hand.
	Resign
	// Leave ends Lease, and with it whatever is bound to it.
	Leave
)

// Order is a call to the store. One of Renew and one of the others may be under
// way at a time.
type Order struct {
	Kind Kind
	// Number tells orders apart.
	Number uint64
	Lease  ID
	TTL    time.Duration
	Self   Record
	Seen   int64
	// Viewed, Unrenewed and Renewal are those of a Take.
	Viewed    int64
	Unrenewed bool
	Renewal   int64
	To        Candidate
	Owner     Owner
	// Timeout is how long its answer is of use.
	Timeout time.Duration
}

// Answer is what became of an order.
type Answer struct {
	Kind   Kind
	Number uint64
	// Sent is an instant before the store was asked.
	Sent time.Time
	// Err: it is not known whether the order was carried out.
	Err error
	// Done: it was. Without Err and Done something had changed.
	Done bool
	// Renewal is that of a Take that was not done.
	Renewal int64
	// Renewed: the renewal was written, while the owner key was at the revision Seen.
	Renewed bool
	// Lost: the store does not know Lease any more.
	Lost bool
	// Lease and TTL are those of a Renew; the store may have made TTL longer.
	Lease ID
	TTL   time.Duration
	// Epoch, Revision and Owner: the owner key as it was at that revision; 0: it
	// was not told.
	Epoch    uint64
	Revision int64
	Owner    Owner
}
