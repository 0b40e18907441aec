package agent

import (
	"time"

	"github.com/vipd/vipd/election"
)

// What a rehash does to connections: a router that spreads by hash leads many of
// them elsewhere when its paths change, where nobody knows them.
const (
	rehashBetter = "; routers that spread by hash do so anew, and open connections that they led to other nodes may break"
	rehashWorse  = "; routers with a better path leave this node and spread anew, and open connections through this node and others may break"
)

// rehash is what history tells of a group's paths.
type rehash struct {
	// why is what swayed routers in this turn; no reason: nothing did.
	why cause
	// leaves: it was told that this node leaves.
	leaves bool
}

// swayed notes that a group which every node holds is announced otherwise than
// before, so that operators find in the history what broke connections at the
// time. A change among bad grades sways no router that has a good path; but the end
// of a bad one may be the end of the last one.
func (g *group) swayed(was, is grade) {
	if !g.everywhere() || g.gone {
		return
	}
	r := &g.rehash
	among := (was == well) == (is == well)
	if !among || is == unannounced && !r.leaves {
		r.why = g.rehashOf(is)
	}
	r.leaves = is == leaving && (r.leaves || !among)
}

// rehashOf is the cause to tell when the group came to a grade.
func (g *group) rehashOf(is grade) cause {
	switch is {
	case well:
		return cause{reason: election.PathBetter, detail: "this node is healthy" + rehashBetter}
	case unwell:
		return cause{reason: election.PathWorse, detail: "this node is not healthy: " + g.fitness.why() + rehashWorse}
	case leaving:
		return cause{reason: election.PathWorse, detail: "this node leaves" + rehashWorse}
	case unannounced:
		return cause{reason: election.PathWorse, detail: "withdrawn" + rehashWorse}
	}
	panic("agent: unhandled grade")
}

// tellRehash writes to history and log what sways routers. It is no change of
// state: it counts in no metric, and no program is told.
func (g *group) tellRehash(now time.Time) {
	why := g.rehash.why
	if why.reason == "" {
		return
	}
	g.rehash.why = cause{}
	g.log.Info("routers are told otherwise", "reason", string(why.reason), "detail", why.detail)
	g.agent.record(Entry{
		Time: now, VIP: g.cfg.Name, From: g.shown.state, To: g.shown.state,
		Reason: why.reason, Detail: why.detail, Owner: g.owner(now),
		DurationSeconds: now.Sub(g.shown.since).Seconds(),
	})
}
