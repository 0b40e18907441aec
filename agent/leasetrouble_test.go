package agent

import (
	"errors"
	"testing"
	"time"
)

// etcd's authentication may give rights to some keys and not to others.
func TestKeysThatCannotBeFollowedAreTold(t *testing.T) {
	leaseBubble(t, func(t *testing.T, e *electorate) {
		v := e.voter(11, byLease, true)
		v.way.unseen = errors.New("permission denied")
		v.start()
		time.Sleep(time.Minute)
		const want = "etcd's keys cannot be followed: permission denied"
		if got := v.status("apiserver").Election.Lease.Error; got != want {
			t.Errorf("the status says %q, want %q", got, want)
		}
		if got := v.logged(want); len(got) != 1 {
			t.Errorf("logged %q, want one line", got)
		}
	})
}

// A full disk, or a CA that was replaced: the note is made as soon as it can be.
func TestANoteOfEtcdIsMadeAgain(t *testing.T) {
	leaseBubble(t, func(t *testing.T, e *electorate) {
		v := e.voter(11, byLease, false)
		v.way.unnoted = errors.New("no space left on device")
		v.start()
		v.awaitSeated()
		time.Sleep(5 * time.Minute)
		const failed, noted = "VRRP will elect on this node", "it is noted that etcd was reached"
		if got := v.logged(failed); len(got) != 1 {
			t.Errorf("logged %q, want one line", got)
		}
		set := func(known bool) {
			e.mu.Lock()
			defer e.mu.Unlock()
			v.way.unnoted, v.way.known = nil, known
		}
		isKnown := func() bool { known, _ := v.way.Known(); return known }
		set(false)
		await(t, "it is noted when there is room", isKnown)
		if got := v.logged(noted); len(got) != 1 {
			t.Errorf("logged %q, want one line", got)
		}
		set(false)
		await(t, "it is noted for another CA", isKnown)
	})
}
