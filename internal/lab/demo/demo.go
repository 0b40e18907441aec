// Package demo shows a VIP daemon's main job to a person: five things happen to
// the owner of the VIP, one after the other, while a client goes on asking. For
// each it tells who owned when and why, what the client saw, and whether the
// promise of that case was kept.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/daemon"
	"github.com/vipd/vipd/internal/lab/scene"
)

// Options of a demo.
type Options struct {
	// Daemon is shown.
	Daemon daemon.Daemon
	// Viplab is the path of a program with the commands of package tool.
	Viplab string
	// Dir keeps logs; empty means that none are kept.
	Dir string
	// Out is where the story goes, in colour if Colour is set.
	Out    io.Writer
	Colour bool
}

// ErrBroken means that a promise was not kept. The story says which.
var ErrBroken = errors.New("a promise was broken")

// stepPatience is how long a part of the demo may take before it counts as broken.
const stepPatience = 12 * time.Second

// Run tells the whole story. Its error is ErrBroken or says what could not be done.
func Run(ctx context.Context, opts Options) error {
	begin := time.Now()
	out := &page{w: opts.Out, colour: opts.Colour}
	setting, cancel := context.WithTimeout(ctx, stepPatience)
	defer cancel()
	s, err := scene.Open(setting, scene.Options{Daemon: opts.Daemon, Viplab: opts.Viplab, Streams: 6, Dir: opts.Dir})
	if err != nil {
		return err
	}
	t := &teller{scene: s, out: out}
	err = t.tell(ctx, begin)
	switch {
	case ctx.Err() != nil:
		err = context.Cause(ctx) // somebody has had enough; no log explains that
	case err != nil:
		err = errors.Join(err, s.Logs())
	case t.broken:
		err = ErrBroken
	}
	return errors.Join(err, s.Close())
}

// teller does the steps and writes them down.
type teller struct {
	scene  *scene.Scene
	out    *page
	broken bool
}

func (t *teller) tell(ctx context.Context, begin time.Time) error {
	s := t.scene
	owner, err := t.settle(ctx)
	if err != nil {
		return err
	}
	t.out.opening(opening{
		daemon: s.Daemon.Name(), vip: s.VIP(), hosts: s.Lab.Hosts, client: s.Lab.Client,
		owner: owner, began: begin, took: time.Since(begin), transitions: t.history(ctx, begin),
	})
	for i, step := range steps() {
		if err := t.step(ctx, i+1, step); err != nil {
			return fmt.Errorf("step %d, %s: %w", i+1, step.trial.Name, err)
		}
	}
	return t.ending(ctx, begin)
}

// settle is Scene.Settle within a step's patience.
func (t *teller) settle(ctx context.Context) (*lab.Host, error) {
	ctx, cancel := context.WithTimeout(ctx, stepPatience)
	defer cancel()
	return t.scene.Settle(ctx)
}

// step lets something happen to the owner and then mends it.
func (t *teller) step(ctx context.Context, number int, step step) error {
	trying, cancel := context.WithTimeout(ctx, stepPatience)
	defer cancel()
	o, err := t.scene.Try(trying, step.trial)
	if err != nil {
		return err
	}
	v := step.judge(trying, t.scene, o)
	t.out.heading(number, fmt.Sprintf(step.title, o.Owner), step.why)
	t.out.timeline(o.At, t.events(ctx, o.At, o.Successor))
	t.out.client(o.Seen)
	t.verdict(v)
	return t.mend(ctx, step, o)
}

// mend undoes the harm of a step and tells what its return leads to.
func (t *teller) mend(ctx context.Context, step step, o scene.Outcome) error {
	mending, cancel := context.WithTimeout(ctx, stepPatience)
	defer cancel()
	at := time.Now()
	if err := o.Mend(mending); err != nil {
		return err
	}
	owner, err := t.scene.Settle(mending)
	if err != nil {
		return err
	}
	seen, err := t.scene.Client.Report(mending, at, time.Now())
	if err != nil {
		return err
	}
	t.out.back(fmt.Sprintf(step.back, o.Owner))
	t.out.timeline(at, t.events(ctx, at, nil))
	t.out.client(seen)
	after := step.after
	if after == nil {
		after = stays
	}
	t.verdict(after(o, owner, seen))
	return nil
}

func (t *teller) verdict(v verdict) {
	t.broken = t.broken || !v.kept
	t.out.verdict(v)
}

// ending looks at the kernels once more.
func (t *teller) ending(ctx context.Context, begin time.Time) error {
	owner, err := t.settle(ctx)
	if err != nil {
		return err
	}
	holders, err := t.scene.Holders()
	if err != nil {
		return err
	}
	all, err := t.scene.Client.Report(ctx, begin, time.Now())
	if err != nil {
		return err
	}
	t.out.ending(all, time.Since(begin))
	t.verdict(verdict{
		text: fmt.Sprintf("at the end exactly one host owns the VIP: %s", owner),
		kept: slices.Equal(holders, []*lab.Host{owner}),
	})
	return nil
}

// events collects what was heard and told since a time: transitions of all
// hosts, and the first announcement of the successor, if there is one.
func (t *teller) events(ctx context.Context, since time.Time, successor *lab.Host) []event {
	events := t.history(ctx, since)
	claims, err := t.scene.Claims.Since(since)
	if err != nil {
		events = append(events, event{at: time.Now(), who: "demo", what: err.Error()})
	}
	for _, c := range claims {
		if c.Host == successor {
			events = append(events, event{at: c.At, who: c.Host.Name, what: fmt.Sprintf("announces %s", c.VIP)})
			break
		}
	}
	slices.SortStableFunc(events, func(a, b event) int { return a.at.Compare(b.at) })
	return events
}

// history asks each daemon that knows its own past. Daemons that are dead or
// frozen at the moment tell nothing.
func (t *teller) history(ctx context.Context, since time.Time) []event {
	historian, ok := t.scene.Daemon.(daemon.Historian)
	if !ok {
		return nil
	}
	var events []event
	for _, h := range t.scene.Lab.Hosts {
		asking, cancel := context.WithTimeout(ctx, time.Second)
		transitions, err := historian.History(asking, h)
		cancel()
		if err != nil {
			continue
		}
		for _, tr := range transitions {
			if !tr.Time.Before(since.Truncate(time.Millisecond)) { // history may tell milliseconds only
				events = append(events, event{at: tr.Time, who: h.Name, what: fmt.Sprintf("%s → %s", tr.From, tr.To), reason: tr.Reason, detail: tr.Detail})
			}
		}
	}
	slices.SortStableFunc(events, func(a, b event) int { return a.at.Compare(b.at) })
	return events
}
