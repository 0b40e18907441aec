package fabric

import (
	"fmt"
	"sync"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/vipd/vipd/internal/lab/measure"
)

// noticed is how late a change of routes may be seen.
const noticed = 100 * time.Millisecond

// routeChange is a change of the router's routes to a VIP.
type routeChange struct {
	at   time.Time
	hops int
}

// routeWatch sees the changes of the routes to the first VIP in the router's
// kernel.
type routeWatch struct {
	done chan struct{}

	mu      sync.Mutex
	changes []routeChange
}

// watchRoutes begins; end ends it.
func (f *Fabric) watchRoutes() (*routeWatch, error) {
	w := &routeWatch{done: make(chan struct{})}
	updates := make(chan netlink.RouteUpdate, 64)
	if err := f.Lab.Router.Do(func() error { return netlink.RouteSubscribe(updates, w.done) }); err != nil {
		return nil, fmt.Errorf("watch the router's routes: %w", err)
	}
	vip := f.opts.VIPs[0].AsSlice()
	go func() {
		for u := range updates {
			if u.Dst != nil && u.Dst.IP.Equal(vip) {
				w.note(routeChange{time.Now(), max(1, len(u.MultiPath))})
			}
		}
	}()
	return w, nil
}

func (w *routeWatch) end() { close(w.done) }

func (w *routeWatch) note(c routeChange) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.changes = append(w.changes, c)
}

// changed is the first change since a moment to so many next hops.
func (w *routeWatch) changed(since time.Time, hops int) (time.Time, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.changes {
		if c.at.After(since) && c.hops == hops {
			return c.at, true
		}
	}
	return time.Time{}, false
}

// any tells whether there was a change.
func (w *routeWatch) any() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.changes) > 0
}

// rehashed tells whether a request failed because it was under way when the
// router spread connections anew, as any open connection may.
func (w *routeWatch) rehashed(r measure.Request) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.changes {
		if r.Error == measure.ErrReset && !r.At.After(c.at) && !r.At.Add(r.Took).Before(c.at.Add(-noticed)) {
			return true
		}
	}
	return false
}
