package vrrp

import (
	"net/netip"

	"github.com/vipd/vipd/election"
)

// Event is what a Machine is told. The set is closed.
type Event interface{ event() }

// Tick says that the machine's deadline may have come. Before it, every advert
// that had arrived must have been handed over: lateness is judged by it.
type Tick struct{}

// Advert is a valid advert of the machine's VRID and family. Packet is read
// during Step only.
type Advert struct {
	From   netip.Addr
	Packet *Packet
}

// LinkUp says that adverts can be sent, from Own. It also tells a new Own.
type LinkUp struct{ Own netip.Addr }

// LinkDown says that the group cannot be served, and why. An owner resigns.
type LinkDown struct {
	Reason election.Reason
	Detail string
}

// Health tells this node's fitness to serve.
type Health struct {
	Healthy bool
	// Unproven: not every check has a result yet; until then this node is taken for
	// unhealthy.
	Unproven bool
	Detail   string
}

// SetDuty changes what the operator wants of this node.
type SetDuty struct {
	Duty   Duty
	Reason election.Reason
}

// Abandon gives the VIP up at once, whoever may be there. An owner resigns.
type Abandon struct {
	Reason election.Reason
	Detail string
}

// Held is the outcome of the Hold action with the same Attempt.
type Held struct {
	Attempt uint64
	Err     error
}

// Probed is the outcome of the Probe action with the same Attempt. MAC is the
// station that answers for the VIP; empty when nobody does.
type Probed struct {
	Attempt uint64
	MAC     string
}

// Reached is the outcome of the Reach action with the same Attempt.
type Reached struct {
	Attempt uint64
	// Other tells of the other owner.
	Other Hearing
	// Asked is how many third stations were asked, Third how many answered.
	Asked, Third int
}

// Hearing is whether a station hears this host.
type Hearing uint8

const (
	// Unclear: it could not be asked, or a station answered that answers for any
	// address.
	Unclear Hearing = iota
	// Hears: it answered.
	Hears
	// Silent: it did not.
	Silent
)

// Configure replaces the machine's configuration; VRID and family stay.
type Configure struct{ Config Config }

// Named tells that the owner at By wants this node to succeed it; the zero Addr:
// no owner does. A named successor does not wait for those that would come
// before it.
type Named struct{ By netip.Addr }

// Members are the other members of the group that are known to hear this node,
// beyond those of the configuration. They order equal backups where the
// configuration lists nobody. The slice belongs to the machine.
type Members struct{ Addrs []netip.Addr }

// Company tells that a member of the group, not an owner, is heard otherwise
// than by adverts: frames get here, so an owner's adverts would as well.
type Company struct{}

// Doubt tells whether the list of peers may be out of date. While it may, an
// owner's silence can mean that it does not send to this node any more, so the
// segment is asked before the VIP is claimed.
type Doubt struct{ Peers bool }

func (Tick) event()      {}
func (Advert) event()    {}
func (LinkUp) event()    {}
func (LinkDown) event()  {}
func (Health) event()    {}
func (SetDuty) event()   {}
func (Abandon) event()   {}
func (Held) event()      {}
func (Probed) event()    {}
func (Reached) event()   {}
func (Configure) event() {}
func (Named) event()     {}
func (Members) event()   {}
func (Company) event()   {}
func (Doubt) event()     {}

// Duty is what the operator wants of a node.
type Duty uint8

const (
	// Serve: own the VIP when elected.
	Serve Duty = iota
	// Drain: never take the VIP; an owner serves on at priority 1 until a
	// successor is heard.
	Drain
	// Resign is Drain at priority 0, for successors that do not preempt
	// (RFC 9568 6.4.3, shutdown).
	Resign
)

// Action is what a Machine wants done. The set is closed. Actions are done in
// the order given and before the machine's next Step.
type Action interface{ action() }

// SendAdvert sends an advert now. It points into the machine and is valid until
// the next Step.
type SendAdvert struct {
	Priority uint8
	Rhythm
	Checksum Checksum
}

// Hold puts the group's addresses on this node, announces them, and reports
// Held. A newer Hold or a Release replaces it.
type Hold struct {
	Attempt uint64
	// AfterSilence: a former owner may be frozen with the addresses still on,
	// so they must be announced once more when its fence has run out.
	AfterSilence bool
}

// Defend announces the held addresses against a rival, within the rate limit of
// RFC 5227 2.4.
type Defend struct{ Rival netip.Addr }

// Release takes the group's addresses off this node. Idempotent.
type Release struct{}

// Probe asks the segment who answers for the group's addresses and reports
// Probed.
type Probe struct{ Attempt uint64 }

// Reach asks another owner, whose advert this Step was told, and some third
// stations of the segment whether they hear this host, and reports Reached.
type Reach struct {
	Attempt uint64
	Of      netip.Addr
}

// Transition tells that the group's state changed.
type Transition struct {
	From, To State
	Reason   election.Reason
	Detail   string
}

// Report tells something worth a line in the log, once per episode.
type Report struct {
	Kind   ReportKind
	From   netip.Addr
	Detail string
}

func (*SendAdvert) action() {}
func (Hold) action()        {}
func (Defend) action()      {}
func (Release) action()     {}
func (Probe) action()       {}
func (Reach) action()       {}
func (Transition) action()  {}
func (Report) action()      {}

// ReportKind is what a Report is about.
type ReportKind uint8

const (
	// Foreign: another group uses our VRID; it shares no address with ours.
	Foreign ReportKind = iota
	// Differs: a member of our group lists other addresses than we do.
	Differs
	// Rival: another node advertises as owner while this one is it.
	Rival
	// Answered: some station answers for the VIP though nobody advertises it.
	Answered
	// OwnAddress: an advert came from this node's own address.
	OwnAddress
	// Deaf: another owner does not hear this one, which stays.
	Deaf
	// Undone: displacing a live owner did not succeed and was undone.
	Undone
)

// State is the state of a Machine.
type State uint8

const (
	// Init: the group cannot be served (RFC 9568 6.4.1).
	Init State = iota
	// Backup: ready to take over (RFC 9568 6.4.2).
	Backup
	// Probing: a backup that asks whether the VIP is in use before its first
	// claim.
	Probing
	// Displacing: a backup that puts the addresses on before it adverts, so
	// that a live owner steps down only when it is served.
	Displacing
	// Active: the owner (RFC 9568 6.4.3).
	Active
	// Listening: an owner that was late and hears who owns the VIP now before
	// it speaks.
	Listening
)

// String is the state's name for logs and tests.
func (s State) String() string {
	switch s {
	case Init:
		return "init"
	case Backup:
		return "backup"
	case Probing:
		return "probing"
	case Displacing:
		return "displacing"
	case Active:
		return "active"
	case Listening:
		return "listening"
	}
	panic("vrrp: unhandled state")
}
