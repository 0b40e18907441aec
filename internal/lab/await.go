package lab

import (
	"context"
	"fmt"
	"time"
)

// Await asks cond again and again, each 2 ms, until it returns nil. When ctx ends
// first the error says what was awaited, and cond's last answer.
func Await(ctx context.Context, what string, cond func() error) error {
	return AwaitEvery(ctx, 2*time.Millisecond, what, cond)
}

// AwaitEvery is Await for conditions that cost more to ask for.
func AwaitEvery(ctx context.Context, every time.Duration, what string, cond func() error) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		err := cond()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w: %w", what, context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}
