package speaker

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/vipd/vipd/bgp"
)

const (
	// inspection is how often what is announced is compared with what is wanted,
	// whether or not anything changed.
	inspection = 2 * time.Second
	// retryOpen is the pause before a session that could not be begun is tried
	// again.
	retryOpen = 5 * time.Second
)

// neighbor works on one neighbour in a goroutine of its own, so that one which
// keeps it waiting keeps nobody else waiting.
type neighbor struct {
	wanted   bgp.Neighbor
	asn      uint32
	routerID netip.Addr
	open     func(uint32, netip.Addr, bgp.Neighbor, func()) (Session, error)
	log      *slog.Logger
	changed  func()

	wake chan struct{}
	end  context.CancelFunc
	done chan struct{}
	// haste belongs to work.
	haste haste

	mu     sync.Mutex
	routes []bgp.Route
	// owed are those of routes that must not be left to another session.
	owed      []bgp.Route
	farewell  string
	removed   bool
	reset     string
	hasten    string
	session   Session
	announced []bgp.Route
	fault     string
}

// begin starts to work, when the former worker of the same neighbour is done.
func (n *neighbor) begin(former *neighbor) {
	ctx, end := context.WithCancel(context.Background())
	n.wake, n.end, n.done = make(chan struct{}, 1), end, make(chan struct{})
	go func() {
		defer close(n.done)
		if former != nil {
			<-former.done
		}
		n.work(ctx)
	}()
}

// announce replaces the routes that are wanted, and those of them that this
// neighbour has to be told.
func (n *neighbor) announce(routes, owed []bgp.Route) {
	n.tell(func() { n.routes, n.owed = routes, owed })
}

// moved is called when the session's state may have changed: what is announced
// depends on it.
func (n *neighbor) moved() {
	n.rouse()
	n.changed()
}

// lose resets the session because the way to the neighbour is lost.
func (n *neighbor) lose(why string) {
	n.tell(func() { n.reset, n.hasten = why, "" })
}

// regain tries a session that is not established again at once, because what kept it
// from being so may be over.
func (n *neighbor) regain(why string) {
	n.tell(func() { n.hasten = why })
}

func (n *neighbor) tell(change func()) {
	n.mu.Lock()
	change()
	n.mu.Unlock()
	n.rouse()
}

// rouse has work look at everything anew.
func (n *neighbor) rouse() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// close ends the work. It returns at once; done tells when it has ended.
func (n *neighbor) close(why string) {
	n.mu.Lock()
	n.farewell = why
	n.mu.Unlock()
	n.end()
}

// remove is close for a neighbour that is configured no more.
func (n *neighbor) remove() {
	n.mu.Lock()
	n.removed = true
	n.mu.Unlock()
	n.end()
}

// over tells whether the work has ended.
func (n *neighbor) over() bool {
	select {
	case <-n.done:
		return true
	default:
		return false
	}
}

func (n *neighbor) work(ctx context.Context) {
	session := n.begun(ctx)
	if session == nil {
		return
	}
	inspect := time.NewTicker(inspection)
	defer inspect.Stop()
	for {
		n.bring(session)
		select {
		case <-n.wake:
		case <-inspect.C:
		case <-ctx.Done():
			if err := n.part(session); err != nil {
				n.log.Debug("the end of a BGP session", "error", err)
			}
			return
		}
	}
}

// part ends the session.
func (n *neighbor) part(session Session) error {
	n.mu.Lock()
	why, removed := n.farewell, n.removed
	n.mu.Unlock()
	if removed {
		return session.Remove()
	}
	return session.Close(why)
}

// begun begins the session, sooner or later; nil: the work is to end.
func (n *neighbor) begun(ctx context.Context) Session {
	for n.wanted.Unusable == "" {
		session, err := n.open(n.asn, n.routerID, n.wanted, n.moved)
		if err == nil {
			n.mu.Lock()
			n.session, n.fault = session, ""
			n.mu.Unlock()
			return session
		}
		n.blame(err)
		select {
		case <-time.After(retryOpen):
		case <-ctx.Done():
			return nil
		}
	}
	<-ctx.Done()
	return nil
}

// bring brings the session to what is wanted.
func (n *neighbor) bring(session Session) {
	n.mu.Lock()
	routes, owed, reset, hasten := n.routes, n.owed, n.reset, n.hasten
	n.reset, n.hasten = "", ""
	n.mu.Unlock()
	if reset != "" && session.State().State == bgp.Established {
		n.log.Warn("the BGP session is reset", "neighbor", n.wanted.Address, "reason", reset)
		if err := session.Reset(reset); err != nil {
			n.log.Warn("a BGP session could not be reset", "error", err)
		}
	}
	if hasten != "" && session.State().State != bgp.Established && n.haste.permits(time.Now()) {
		n.log.Info("the BGP session is tried anew", "neighbor", n.wanted.Address, "reason", hasten)
		if err := session.Hasten(); err != nil {
			n.log.Warn("a BGP session could not be begun anew", "error", err)
		}
	}
	err := session.Announce(routes)
	began := session.State().State
	announced, listed := session.Announced()
	if err == nil {
		err = listed
	}
	if err == nil && began == bgp.Established && session.State().State == bgp.Established {
		err = lacking(owed, announced)
	}
	n.blame(err)
	n.mu.Lock()
	news := !slices.EqualFunc(n.announced, announced, bgp.Route.Equal)
	n.announced = announced
	n.mu.Unlock()
	if news {
		n.changed()
	}
}

// blame tells an error, once for as long as it stays.
func (n *neighbor) blame(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	n.mu.Lock()
	news := n.fault != text
	n.fault = text
	n.mu.Unlock()
	if news && text != "" {
		n.log.Error("a BGP neighbour is not served as configured", "neighbor", n.wanted.Address, "error", text)
	}
}

// received is how many routes the neighbour sent.
func (n *neighbor) received() uint64 {
	n.mu.Lock()
	session := n.session
	n.mu.Unlock()
	if session == nil {
		return 0
	}
	return session.Received()
}

// report is the neighbour's state.
func (n *neighbor) report() bgp.NeighborReport {
	n.mu.Lock()
	defer n.mu.Unlock()
	r := bgp.NeighborReport{Address: n.wanted.Address, ASN: n.wanted.ASN, State: bgp.Idle}
	if n.session != nil {
		r = n.session.State()
	}
	switch {
	case n.wanted.Unusable != "":
		r.State, r.Error = bgp.Unusable, n.wanted.Unusable
	case n.fault != "":
		r.Error = n.fault
	}
	if r.State == bgp.Established {
		r.Announced = n.announced
	}
	return r
}
