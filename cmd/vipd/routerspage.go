package main

import (
	"fmt"
	"strings"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/bgp"
)

// routers shows the sessions with routers, where there are any.
func (p *page) routers(s agent.BGPStatus) {
	if len(s.Neighbors) == 0 {
		return
	}
	established := 0
	for _, n := range s.Neighbors {
		if n.State == bgp.Established {
			established++
		}
	}
	fmt.Fprintf(&p.text, "\n%s: %d of %d sessions established\n", p.style.bold("BGP"), established, len(s.Neighbors))
	if s.Error != "" {
		p.field("WARNING", "the speaker is started again: "+s.Error, p.style.bad)
	}
	for i := range s.Neighbors {
		p.neighbor(&s.Neighbors[i])
	}
}

func (p *page) neighbor(n *agent.NeighborStatus) {
	parts := []string{fmt.Sprintf("AS %d, %s%s", n.ASN, n.State, p.ageOf(n.Since))}
	paint := p.style.plain
	if n.State != bgp.Established {
		paint = p.style.bad
	}
	if n.BFD != "" {
		parts = append(parts, "BFD "+string(n.BFD))
	}
	if n.State == bgp.Established {
		prefixes := make([]string, len(n.Announced))
		for i, prefix := range n.Announced {
			prefixes[i] = prefix.String()
		}
		announced := "nothing announced"
		if len(prefixes) > 0 {
			announced = "announced " + strings.Join(prefixes, " ")
		}
		parts = append(parts, announced)
	}
	p.field(n.Address.String(), sentence(strings.Join(parts, ", "), n.Error), paint)
}
