package flow

import "fmt"

// Counters are packets of one VIP, since an hour without any or since the rules
// were installed.
type Counters struct {
	// Forwarded were passed on to another node.
	Forwarded uint64
	// Left are those of them that really left: no filter of this host ate them.
	Left uint64
	// Looped had been passed on too often and went to this host's kernel, which
	// resets what it does not know.
	Looped uint64
	// Dropped had been passed on too often in the second after a change of roles.
	Dropped uint64
	// Errors are ICMP errors of which a copy was passed on.
	Errors uint64
}

// set takes the count of one of the counting sets.
func (c *Counters) set(name string, packets uint64) {
	switch name {
	case countForwarded:
		c.Forwarded = packets
	case countLeft:
		c.Left = packets
	case countLooped:
		c.Looped = packets
	case countDropped:
		c.Dropped = packets
	case countErrors:
		c.Errors = packets
	}
}

// BlockedSince tells whether packets were passed on since an earlier reading, and
// none of them left: this host's own firewall eats them. [AcceptRule] mends it.
func (c Counters) BlockedSince(earlier Counters) bool {
	return c.Forwarded > earlier.Forwarded && c.Left == earlier.Left
}

// AcceptRule is what a firewall with a default of drop needs in its output chain,
// in the words of nft(8): copies of packets leave through it without a state.
func AcceptRule(port uint16) string {
	return fmt.Sprintf("tcp dport %d ct state untracked accept", port)
}
