package health

import (
	"context"
	"time"
)

// Runner runs one check. Make it with New.
type Runner struct {
	name     string
	interval time.Duration
	prober   prober
	report   func(Result)
}

// Run probes at once, then each interval, and at once when the warm connection
// stirs, until ctx ends; it returns nil then. Probes never overlap. Results are
// reported from this goroutine; what a probe finds after ctx ended is not
// reported. Run may be called once.
func (r *Runner) Run(ctx context.Context) error {
	defer r.prober.close()
	s := schedule{interval: r.interval, next: time.Now()}
	for r.wait(ctx, &s) {
		start := time.Now()
		s.began(start)
		res := r.prober.probe(ctx)
		if ctx.Err() != nil {
			return nil
		}
		res.Check, res.At = r.name, start
		r.report(res)
	}
	return nil
}

// wait returns true when the next probe is due and false when ctx ends.
func (r *Runner) wait(ctx context.Context, s *schedule) bool {
	stirred := r.prober.stirred()
	for {
		timer := time.NewTimer(time.Until(s.next))
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-timer.C:
			return true
		case <-stirred:
			timer.Stop()
			stirred = nil // closed: it would be ready for ever
			s.stirred(time.Now())
		}
	}
}
