package demo

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/measure"
	"github.com/vipd/vipd/internal/lab/scene"
)

// step is one case of the demo.
type step struct {
	// title and back hold a %s for the host that it happens to.
	title, why, back string
	trial            scene.Trial
	judge            judge
	// after looks at what the return of the host led to; nil is stays.
	after aftermath
}

// verdict says whether a promise was kept.
type verdict struct {
	text string
	kept bool
}

// judge looks at an outcome, and if need be at what follows.
type judge func(ctx context.Context, s *scene.Scene, o scene.Outcome) verdict

// aftermath looks at who owns the VIP after an outcome was mended, and at what the
// client saw meanwhile.
type aftermath func(o scene.Outcome, owner *lab.Host, seen measure.Report) verdict

// Bounds of the promises.
const (
	crashBound     = time.Second
	apiServerBound = 500 * time.Millisecond
	duelBound      = 500 * time.Millisecond
	fence          = 3 * time.Second
	// fenceSlack is what the kernel takes to remove an expired address.
	fenceSlack = 500 * time.Millisecond
)

func steps() []step {
	return []step{
		{
			title: "%s is drained", why: "as before kubectl drain, an upgrade, a reboot",
			back:  "%s is undrained",
			trial: scene.Drain(), judge: nothingLost,
		},
		{
			title: "%s loses power", why: "daemon, API server and cable at once",
			back:  "%s is switched on again",
			trial: scene.Crash(), judge: within(crashBound),
		},
		{
			title: "%s's API server is killed", why: "the host and its daemon are well",
			back:  "%s's API server runs again",
			trial: scene.APIServerKilled(), judge: within(apiServerBound),
		},
		{
			title: "%s's daemon freezes", why: "nobody on the host gives the address up",
			back:  "%s's daemon thaws",
			trial: scene.Freeze(), judge: fenced, after: duelEnds,
		},
		{
			title: "%s's daemon is stopped", why: "as by systemctl stop, a package upgrade",
			back:  "%s's daemon is started again",
			trial: scene.PlannedStop(), judge: nothingLost,
		},
	}
}

// nothingLost is the promise of a planned move.
func nothingLost(_ context.Context, _ *scene.Scene, o scene.Outcome) verdict {
	return verdict{
		text: fmt.Sprintf("no request fails and no open connection breaks (%d and %d did)", o.Seen.Failed, o.Seen.Broken),
		kept: !o.Announced.IsZero() && o.Seen.Failed == 0 && o.Seen.Broken == 0,
	}
}

// within is the promise that new connections work again soon.
func within(bound time.Duration) judge {
	return func(_ context.Context, _ *scene.Scene, o scene.Outcome) verdict {
		return verdict{
			text: fmt.Sprintf("new connections work again within %s (%s)", milliseconds(bound), milliseconds(o.Seen.Outage)),
			kept: o.Seen.Outage < bound,
		}
	}
}

// stays is the promise that a host which comes back moves nothing.
func stays(o scene.Outcome, owner *lab.Host, seen measure.Report) verdict {
	return verdict{
		text: fmt.Sprintf("%s keeps the VIP, no request fails and no open connection breaks", o.Successor),
		kept: owner == o.Successor && seen.Failed == 0 && seen.Broken == 0,
	}
}

// duelEnds is the promise after two owners met: either may win.
func duelEnds(_ scene.Outcome, owner *lab.Host, seen measure.Report) verdict {
	return verdict{
		text: fmt.Sprintf("one host owns the VIP, %s, and new connections work within %s (%s)", owner, milliseconds(duelBound), milliseconds(seen.Outage)),
		kept: seen.Outage < duelBound,
	}
}

// fenced is the promise that a frozen daemon's host loses the address by
// itself, in the eyes of its kernel.
func fenced(ctx context.Context, s *scene.Scene, o scene.Outcome) verdict {
	var alone time.Time
	err := lab.AwaitEvery(ctx, 10*time.Millisecond, "the frozen host to lose the VIP", func() error {
		holders, err := s.Holders()
		if err == nil && slices.Contains(holders, o.Owner) {
			err = fmt.Errorf("held by %v", holders)
		}
		alone = time.Now()
		return err
	})
	if err != nil {
		return verdict{text: fmt.Sprintf("the frozen host loses the VIP within %v (it did not: %v)", fence, err)}
	}
	took := alone.Sub(o.At)
	return verdict{
		text: fmt.Sprintf("the frozen host's kernel drops the VIP within %v (%.1f s)", fence, took.Seconds()),
		kept: took < fence+fenceSlack,
	}
}
