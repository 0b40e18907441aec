package main

import (
	"fmt"
	"strings"

	"github.com/vipd/vipd/agent"
)

// cluster shows the other nodes, as far as hellos tell of them.
func (p *page) cluster(s agent.Status) {
	if !s.Hello.Enabled && len(s.Peers) == 0 {
		return
	}
	p.text.WriteString("\n")
	fmt.Fprintf(&p.text, "%s: %s\n", p.style.bold("peers"), population(s))
	if s.Hello.Error != "" {
		p.field("WARNING", s.Hello.Error, p.style.bad)
	}
	if s.Hello.Namesake {
		p.field("WARNING", "another node calls itself "+s.Node+" too; its hellos are refused. Set `node` there.", p.style.bad)
	}
	for i := range s.Peers {
		p.peer(&s.Peers[i])
	}
}

func population(s agent.Status) string {
	alive := 0
	for _, peer := range s.Peers {
		if peer.Condition == "alive" {
			alive++
		}
	}
	switch {
	case len(s.Peers) == 0:
		return "no other vipd is heard"
	case s.Hello.Authenticated:
		return fmt.Sprintf("%d of %d alive, hellos authenticated", alive, len(s.Peers))
	}
	return fmt.Sprintf("%d of %d alive, hellos not authenticated", alive, len(s.Peers))
}

func (p *page) peer(n *agent.PeerStatus) {
	parts := []string{fmt.Sprintf("alive, last hello %s ago", brief(n.LastHelloAgeSeconds))}
	paint := p.style.plain
	if n.Condition != "alive" {
		parts[0] = strings.ToUpper(n.Condition) + p.ageOf(n.Since)
		paint = p.style.notice
	}
	if n.Version != "" {
		parts = append(parts, "vipd "+n.Version)
	}
	if n.Condition == "alive" && !n.Hears {
		parts = append(parts, "DOES NOT HEAR this node")
		paint = p.style.bad
	}
	if n.Namesake {
		parts = append(parts, "another node has this name too")
		paint = p.style.bad
	}
	p.field(n.Node, strings.Join(parts, ", "), paint)
	p.differing(n.Differs)
	for i := range n.VIPs {
		p.part(n, &n.VIPs[i])
	}
}

// part is a peer's part in a group; what one that is gone said last is history.
func (p *page) part(n *agent.PeerStatus, v *agent.PeerVIPStatus) {
	text := fmt.Sprintf("%s (%s, priority %d) at %s", strings.ToUpper(v.State), v.Band, v.Priority, v.Address)
	paint := p.style.plain
	switch {
	case n.Condition != "alive":
		text, paint = "was "+text, p.style.faint
	case v.State == string(agent.StateFault) || !v.Healthy:
		paint = p.style.notice
	}
	if v.APIServer != "unknown" {
		text += ", API server " + v.APIServer
	}
	if v.Connections > 0 {
		text += fmt.Sprintf(", carries %d connections", v.Connections)
	}
	if v.ForwardingTo != "" {
		text += ", passes on to " + v.ForwardingTo
	}
	if v.Successor != "" {
		text += ", to be succeeded by " + v.Successor
	}
	if v.State == string(agent.StateFault) {
		text += ", " + v.Reason
	}
	p.field("  "+v.Name, text, paint)
	p.differing(v.Differs)
}

func (p *page) differing(keys []string) {
	if len(keys) > 0 {
		p.field("", "DIFFERS from this node in "+strings.Join(keys, ", "), p.style.bad)
	}
}
