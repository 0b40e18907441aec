package interop

import (
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/vipd/vipd/internal/lab/adverts"
)

// side is who sent an advert.
type side int

const (
	theirs side = iota
	ours
)

func (s side) String() string { return [...]string{"the neighbour", "vipd"}[s] }

// sideOf tells the side by vipd's MAC, that of its interface: FRR sends from a
// virtual one.
func sideOf(a adverts.Advert, mac net.HardwareAddr) side {
	if a.From(mac) {
		return ours
	}
	return theirs
}

// settled tells whether the last adverts of a virtual router are all of one side,
// for as long as another owner could go unnoticed.
func settled(all []adverts.Advert, mac net.HardwareAddr, on side) error {
	const enough = 6
	n := 0
	for _, a := range slices.Backward(all) {
		if sideOf(a, mac) != on || a.Priority == 0 {
			return fmt.Errorf("%v advertised priority %d, %d adverts ago", sideOf(a, mac), a.Priority, n)
		}
		if n++; n == enough {
			return nil
		}
	}
	return fmt.Errorf("%d adverts so far", n)
}

// judge tells what was wrong between two owners in the adverts of one virtual
// router. gap bounds the time without an owner, beyond what the story made
// unavoidable: three intervals and a skew of at most one (RFC 9568 6.1).
func judge(all []adverts.Advert, mac net.HardwareAddr) []string {
	var wrong []string
	var changes []time.Time // of the owner, in quick succession
	for i := 1; i < len(all); i++ {
		before, now := all[i-1], all[i]
		interval := max(before.Interval, now.Interval)
		if silence := now.At.Sub(before.At); silence > 4*interval+machineTime {
			wrong = append(wrong, fmt.Sprintf("nobody advertised for %v", silence))
		}
		if now.Priority == 0 || before.Priority == 0 || sideOf(now, mac) == sideOf(before, mac) {
			continue
		}
		if len(changes) > 0 && now.At.Sub(changes[len(changes)-1]) > 3*interval {
			changes = nil
		}
		changes = append(changes, now.At)
		if both := now.At.Sub(changes[0]); both > interval+machineTime/10 {
			wrong = append(wrong, fmt.Sprintf("two owners for %v: %v again", both, sideOf(now, mac)))
		}
	}
	return wrong
}

// machineTime is what a busy machine may add to a wait.
const machineTime = time.Second
