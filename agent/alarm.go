package agent

import (
	"context"
	"time"
)

// clock is an Alarm by package time.
type clock struct{ timer *time.Timer }

func (c clock) Set(d time.Duration)     { c.timer.Reset(d) }
func (c clock) Rings() <-chan time.Time { return c.timer.C }

func (c clock) Run(ctx context.Context) error {
	defer c.timer.Stop()
	<-ctx.Done()
	return nil
}
