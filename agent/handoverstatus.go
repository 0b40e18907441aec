package agent

import (
	"time"

	"github.com/vipd/vipd/peer"
)

// HandoverStatus is what becomes of a group's open connections on this node.
type HandoverStatus struct {
	// Supported: they are carried when the VIP moves; else Reason tells why not.
	Supported bool   `json:"supported"`
	Reason    string `json:"reason,omitempty"`
	// ForwardingTo are the nodes that get what this one does not know.
	ForwardingTo []string `json:"forwarding_to"`
	// Shadow: this node was owner, and carries connections that are open here.
	Shadow bool `json:"shadow"`
	// Connections are the open ones on this node.
	Connections int `json:"connections"`
	// GraceSeconds is how long they are carried at the most.
	GraceSeconds float64 `json:"grace_seconds,omitempty"`
}

func (g *group) handoverStatus(now time.Time) HandoverStatus {
	why := g.whyEnded()
	h := &g.handover
	s := HandoverStatus{
		Supported: why == "", Reason: why, ForwardingTo: []string{}, Shadow: g.shadow.casts() && !g.shadow.muted,
		Connections: g.shadow.open.Own + g.shadow.open.Remote, GraceSeconds: g.graceLeft(now).Seconds(),
	}
	if h.told.prev != (Hop{}) {
		name := g.agent.nodeName(h.predecessor)
		if h.predecessor == (peer.ID{}) {
			name = "unknown"
		}
		s.ForwardingTo = append(s.ForwardingTo, name)
	}
	return s
}
