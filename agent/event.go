package agent

import (
	"context"
	"net/netip"

	"github.com/vipd/vipd/election/lease"
	"github.com/vipd/vipd/election/vrrp"
)

// Event is what the loop is told by edges and callers. The set is closed.
type Event interface{ event() }

// InterfaceChanged is the present state of an interface.
type InterfaceChanged struct{ Interface Interface }

// InterfaceGone tells that an interface was removed or renamed.
type InterfaceGone struct{ Name string }

// InterfacesKnown ends the first listing of interfaces.
type InterfacesKnown struct{}

// AddressRemoved tells that an address was taken off an interface, by whomever.
type AddressRemoved struct {
	Interface string
	Addr      netip.Addr
}

// applied is the outcome of an order to the applier.
type applied struct {
	group   *group
	order   order
	created bool
	// err is why the addresses are not held, or not released; undropped why
	// those to be dropped may be there still; unannounced why held ones could
	// not be announced.
	err, undropped, unannounced error
	// reset is how many connections were ended with a release.
	reset int
	// kept: the addresses were left where they are, because what has to be there
	// before was not.
	kept bool
}

// carrierDone is what the carrier did in a round.
type carrierDone struct {
	version uint64
	groups  map[*group]carriedGroup
	// passed are the packets that were passed on; nil: none are to be.
	passed map[netip.Addr]Passed
	err    error
}

// carriedGroup is what the carrier did for a group, and what it found.
type carriedGroup struct {
	err error
	// reset are how many connections were ended, of whatever clients, for cause;
	// stranded how many of this host's clients to another node.
	reset    int
	cause    EndCause
	stranded int
	// open are the connections that are carried, if counted.
	open    Connections
	counted bool
}

// probed is the outcome of a question to the segment.
type probed struct {
	group   *group
	attempt uint64
	mac     string
	err     error
}

// reached is the outcome of a question who hears this host.
type reached struct {
	group *group
	of    netip.Addr
	vrrp.Reached
	err error
}

// claimed tells of another station that claims a VIP.
type claimed struct {
	link string
	addr netip.Addr
	mac  string
}

// checked is a health result.
type checked struct {
	group  *group
	epoch  int
	result ProbeResult
}

// peersRead is the content of a peers file.
type peersRead struct {
	group   *group
	path    string
	content []byte
	err     error
}

// membersSeen is who is in the cluster, as followed for the serial-th time.
type membersSeen struct {
	serial int
	seen   Membership
}

// leaseAnswered is the answer to an order to etcd.
type leaseAnswered struct {
	group  *group
	answer lease.Answer
}

// leaseSeen is what etcd has of a group.
type leaseSeen struct {
	group *group
	view  lease.View
}

// leaseUnseen is why that cannot be learned.
type leaseUnseen struct {
	group *group
	err   error
}

// leaseNoted is whether it is noted that etcd was reached, for the next start.
type leaseNoted struct {
	group *group
	err   error
}

// keysRead is the content of the key file.
type keysRead struct {
	path    string
	content []byte
	err     error
}

// requested runs a caller's function in the loop.
type requested struct{ do func() }

func (InterfaceChanged) event() {}
func (InterfaceGone) event()    {}
func (InterfacesKnown) event()  {}
func (AddressRemoved) event()   {}
func (applied) event()          {}
func (carrierDone) event()      {}
func (reached) event()          {}
func (probed) event()           {}
func (claimed) event()          {}
func (checked) event()          {}
func (peersRead) event()        {}
func (membersSeen) event()      {}
func (leaseAnswered) event()    {}
func (leaseSeen) event()        {}
func (leaseUnseen) event()      {}
func (leaseNoted) event()       {}
func (keysRead) event()         {}
func (requested) event()        {}

// Post tells the loop an event. It waits only while the loop is busy, and
// returns without having told when ctx ends or the agent has stopped.
func (a *Agent) Post(ctx context.Context, ev Event) {
	select {
	case a.events <- ev:
	case <-ctx.Done():
	case <-a.stopped:
	}
}
