package agent

import (
	"errors"
	"testing"
	"time"
)

func TestWatchForClaimantsThatFailsIsBegunAgain(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a, squatter := l.bare(11, apiserver), l.bare(99, apiserver)
		claim := func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.announce(squatter.host, vip4)
		}
		const first, second = "too many open files", "operation not permitted"
		a.set(func(h *host) { h.blind = errors.New(first) })
		a.start()
		a.awaitSeated()
		time.Sleep(time.Minute)
		a.set(func(h *host) { h.blind = errors.New(second) })
		time.Sleep(time.Minute)
		claim()
		time.Sleep(time.Second)
		if a.status("apiserver").DuplicateOwner {
			t.Fatal("a watch that fails sees claimants")
		}
		for _, broken := range []string{first, second} {
			if got := a.logged(broken); len(got) != 1 {
				t.Errorf("told %d times, want once: %q", len(got), got)
			}
		}
		a.set(func(h *host) { h.blind = nil })
		await(t, "the claimant is seen", func() bool {
			claim()
			return a.status("apiserver").DuplicateOwner
		})
	})
}
