package agent

import (
	"context"
	"net/netip"
	"time"
)

// retryClaims is the pause before a watch for other claimants that failed is
// begun again.
const retryClaims = 5 * time.Second

// watchClaims watches an interface for other claimants of VIPs until ctx ends. A
// watch that fails is begun again; each error is told once.
func (a *Agent) watchClaims(ctx context.Context, interfaceName string) {
	watched := func(addr netip.Addr) bool {
		_, ok := (*a.watched.Load())[addr]
		return ok
	}
	told := map[string]bool{}
	for {
		err := a.edges.Claims.WatchClaims(ctx, interfaceName, watched, func(addr netip.Addr, mac string) {
			a.Post(ctx, claimed{link: interfaceName, addr: addr, mac: mac})
		})
		if err != nil && ctx.Err() == nil && !told[err.Error()] {
			told[err.Error()] = true
			a.log.Warn("another station that claims a VIP would not be noticed; the watch is begun again every 5 s. It needs CAP_NET_RAW and free file descriptors (LimitNOFILE)", "interface", interfaceName, "error", err)
		}
		select {
		case <-time.After(retryClaims):
		case <-ctx.Done():
			return
		}
	}
}
