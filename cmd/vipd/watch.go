package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/control"
)

// watchJSON prints each change as a line of JSON.
func (g *globals) watchJSON(ctx context.Context, client *control.Client) error {
	return client.Watch(ctx, func(e agent.Entry) error { return writeLine(g.stdout, e) })
}

// watchLines prints each change as a line for people.
func (g *globals) watchLines(ctx context.Context, client *control.Client) error {
	return client.Watch(ctx, func(e agent.Entry) error {
		_, err := fmt.Fprintln(g.stdout, g.changeLine(e))
		return err
	})
}

// changeLine tells a change, or with From equal to To a state, in one line.
func (g *globals) changeLine(e agent.Entry) string {
	change := string(e.To)
	if e.From != e.To {
		change = string(e.From) + " -> " + change
	}
	return fmt.Sprintf("%s  %s  %s  %s", e.Time.In(g.zone).Format(timeLayout), e.VIP, change, cause(e))
}

// redrawEvery keeps the ages on the screen true.
const redrawEvery = time.Second

// clearScreen is "cursor home, erase below" (ECMA-48), which flickers less than
// erasing everything first.
const clearScreen = "\x1b[H\x1b[J"

// watchScreen redraws the status at each change and each second. A daemon that
// goes away after the first picture is waited for: it may be restarting.
func (g *globals) watchScreen(ctx context.Context, client *control.Client) error {
	if _, err := client.Status(ctx); err != nil {
		return err
	}
	changed := make(chan struct{}, 1)
	work, ctx := errgroup.WithContext(ctx)
	work.Go(func() error { return followChanges(ctx, client, changed) })
	work.Go(func() error {
		tick := time.NewTicker(redrawEvery)
		defer tick.Stop()
		for {
			if err := g.redraw(ctx, client); err != nil {
				return err
			}
			select {
			case <-changed:
			case <-tick.C:
			case <-ctx.Done():
				return nil
			}
		}
	})
	return work.Wait()
}

// followChanges signals each change, also across restarts of the daemon.
func followChanges(ctx context.Context, client *control.Client, changed chan<- struct{}) error {
	for {
		// Why it ended does not matter: redraw tells whether the daemon is there.
		_ = client.Watch(ctx, func(agent.Entry) error {
			select {
			case changed <- struct{}{}:
			default:
			}
			return nil
		})
		select {
		case <-time.After(redrawEvery):
		case <-ctx.Done():
			return nil
		}
	}
}

func (g *globals) redraw(ctx context.Context, client *control.Client) error {
	page := g.picture(client.Status(ctx))
	select {
	case <-ctx.Done():
		// The last picture stays; this one would tell the interruption.
		return nil
	default:
	}
	_, err := io.WriteString(g.stdout, clearScreen+page)
	return err
}

// picture is the screen's content: the status, or why there is none.
func (g *globals) picture(s agent.Status, err error) string {
	if err != nil {
		return fmt.Sprintf("%s  %v\nWaiting for it. Ctrl-C ends this.\n", g.now().In(g.zone).Format(timeLayout), err)
	}
	return g.statusPage(s)
}
