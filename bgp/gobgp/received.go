package gobgp

import (
	"context"

	api "github.com/osrg/gobgp/v3/api"
)

// Received is how many routes the router sent and did not withdraw. They are not
// imported, and gobgp keeps them all the same.
func (s *Session) Received() (routes uint64) {
	// It fails only for want of a request.
	_ = s.server.ListPeer(context.Background(), &api.ListPeerRequest{}, func(p *api.Peer) {
		for _, f := range p.AfiSafis {
			routes += f.GetState().GetReceived()
		}
	})
	return routes
}
