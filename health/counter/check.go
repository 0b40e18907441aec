package counter

import (
	"fmt"
	"time"
)

// Rule names a check and says how many results in a row change its verdict.
type Rule struct {
	Name string
	// Rise passes in a row make an unhealthy check healthy; less than 1 means 1.
	Rise int
	// Fall failures in a row make a healthy check unhealthy, and that many
	// time-outs or 5xx answers to the liveness question make it hung; less
	// than 1 means 1.
	Fall int
}

// Liveness is the verdict on the process behind a check.
type Liveness uint8

// The verdicts.
const (
	// Unknown: no evidence.
	Unknown Liveness = iota
	// Alive: it answers.
	Alive
	// Hung: it let time out, or answered 5xx to, Fall liveness questions in a
	// row. Its open connections are worth nothing.
	Hung
	// Dead: it refuses new connections. It is gone or stops gracefully; open
	// connections, if any are left, are still served.
	Dead
)

// String is the verdict's word.
func (l Liveness) String() string {
	switch l {
	case Unknown:
		return "unknown"
	case Alive:
		return "alive"
	case Hung:
		return "hung"
	case Dead:
		return "dead"
	}
	panic(fmt.Sprintf("counter: unknown liveness %d", uint8(l)))
}

// Verdict is what the results of one check amount to.
type Verdict struct {
	// Judged is false until the first result; the check is unhealthy until
	// then.
	Judged  bool
	Healthy bool
	// Since is when Healthy took its value; zero until the first result.
	Since    time.Time
	Liveness Liveness
	// LivenessSince is when Liveness took its value; zero until the first
	// result.
	LivenessSince time.Time
	// Reason is one line for an operator. It may be there while the check is
	// healthy: a failure that is being counted, or missing authorisation.
	Reason string
}

// Check counts the results of one check. Make it with NewCheck.
type Check struct {
	rule    Rule
	verdict Verdict
	// passes, failures and hangs count results in a row; of passes and
	// failures one is always zero.
	passes, failures, hangs int
}

// NewCheck returns a check without results: unhealthy, liveness unknown.
func NewCheck(rule Rule) *Check {
	c := &Check{verdict: Verdict{Reason: "no result yet"}}
	c.Revise(rule)
	return c
}

// Revise changes the rule and keeps verdict and counts: a reload is no reason
// to change a verdict.
func (c *Check) Revise(rule Rule) {
	rule.Rise, rule.Fall = max(rule.Rise, 1), max(rule.Fall, 1)
	c.rule = rule
}

// Verdict is the verdict after the results so far.
func (c *Check) Verdict() Verdict { return c.verdict }

// Step counts one result. Results must come in the order of their times.
func (c *Check) Step(now time.Time, r Result) Verdict {
	c.stepLiveness(now, r.Live)
	c.stepReadiness(now, r)
	c.verdict.Judged = true
	return c.verdict
}

func (c *Check) stepReadiness(now time.Time, r Result) {
	pass := r.passes()
	if pass {
		c.passes, c.failures = c.passes+1, 0
	} else {
		c.passes, c.failures = 0, c.failures+1
	}
	c.verdict.Reason = r.Reason
	switch healthy := c.verdict.Healthy; {
	case !c.verdict.Judged:
		// The first result decides at once: waiting would only prolong not
		// knowing.
		c.setHealthy(now, pass)
		c.verdict.Since = now
	case r.Ready == Refused:
		// Proof: the kernel itself says that nothing listens.
		c.setHealthy(now, false)
	case healthy && c.failures >= c.rule.Fall:
		c.setHealthy(now, false)
	case !healthy && c.passes >= c.rule.Rise:
		c.setHealthy(now, true)
	case !healthy && pass:
		c.verdict.Reason = fmt.Sprintf("ready again, but only %d of rise: %d times in a row", c.passes, c.rule.Rise)
	}
}

func (c *Check) setHealthy(now time.Time, healthy bool) {
	if c.verdict.Healthy != healthy {
		c.verdict.Healthy, c.verdict.Since = healthy, now
	}
}

func (c *Check) stepLiveness(now time.Time, o Outcome) {
	switch o {
	case OK, Unauthorised, NotReady:
		c.hangs = 0
		c.setLiveness(now, Alive)
	case Refused:
		c.hangs = 0
		c.setLiveness(now, Dead)
	case Timeout, ServerError:
		// Even the first result does not decide here: connections are
		// destroyed on this verdict.
		c.hangs++
		if c.hangs >= c.rule.Fall {
			c.setLiveness(now, Hung)
		}
	case Unasked, Unreachable, Untrusted, Unconfigured:
		c.hangs = 0
		c.setLiveness(now, Unknown)
	default:
		panic(fmt.Sprintf("counter: unknown outcome %d", uint8(o)))
	}
	if !c.verdict.Judged {
		c.verdict.LivenessSince = now
	}
}

func (c *Check) setLiveness(now time.Time, l Liveness) {
	if c.verdict.Liveness != l {
		c.verdict.Liveness, c.verdict.LivenessSince = l, now
	}
}
