package speaker

import (
	"testing"
	"time"
)

func TestTheRouterThatSendsTooMuchIsNamed(t *testing.T) {
	const much = "the speaker has 300 MB of memory, more than its 268"
	const mend = "; have that router send no routes to this node (a filter for what goes out)"
	rows := []struct {
		name   string
		memory uint64
		before func(first, second *session)
		want   []string
	}{
		{"what is kept is not too much", MaxMemory, func(first, _ *session) { first.received = 900_000 }, nil},
		{
			"the one that sent the most", 300e6, func(first, second *session) { first.received, second.received = 20_000, 900_000 },
			[]string{"192.0.2.2: 192.0.2.2 sent 900000 routes, and " + much + mend},
		},
		{
			"the one whose session does not come to say so", 300e6, func(first, second *session) { first.received, second.stuck = 20_000, true },
			[]string{"192.0.2.2: 192.0.2.2 sent more routes than could be counted, and " + much + mend},
		},
		{
			"nobody, of those that sent little", 300e6, func(first, second *session) { first.received, second.received = 1, innocent },
			[]string{"invalid IP: " + much},
		},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			play(t, func(w *world, _ *Speaker, d *daemon) {
				d.say(wanted(), time.Second)
				w.told()
				w.mu.Lock()
				row.before(w.sessions[one()], w.sessions[two()])
				w.memory = row.memory
				w.mu.Unlock()
				d.say(wanted(), 2*time.Second)
				same(t, row.want, w.told())
			})
		})
	}
}
