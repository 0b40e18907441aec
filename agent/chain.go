package agent

import (
	"slices"

	"github.com/vipd/vipd/peer"
)

// chain is the order in which nodes owned a VIP last, newest first. Each node
// passes what it does not know to the next one after itself that still carries
// connections; all have the owner's list, so no chain of theirs has a ring.
type chain []peer.ID

// chainMax is how many nodes a hello can name.
const chainMax = 8

// led is the chain when id becomes the owner.
func (c chain) led(id peer.ID) chain {
	next := append(chain{id}, slices.DeleteFunc(slices.Clone(c), func(o peer.ID) bool { return o == id })...)
	return next[:min(len(next), chainMax)]
}

// after is the first of the nodes behind id that carries connections; the zero
// ID: none does, or id is not in the chain.
func (c chain) after(id peer.ID, carries func(peer.ID) bool) peer.ID {
	at := slices.Index(c, id)
	if at < 0 {
		return peer.ID{}
	}
	for _, next := range c[at+1:] {
		if carries(next) {
			return next
		}
	}
	return peer.ID{}
}

// joined is the owner's chain with a node that carries connections and is not in
// it: another owner, or one that came back. It owned before now, so it comes
// right behind the owner.
func (c chain) joined(id peer.ID) chain {
	if len(c) == 0 || slices.Contains(c, id) {
		return c
	}
	next := slices.Insert(slices.Clone(c), 1, id)
	return next[:min(len(next), chainMax)]
}
