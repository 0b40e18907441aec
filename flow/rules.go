package flow

import (
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// prerouting shows packets to the part of this node, before conntrack sees them
// and before anybody rewrites them. Only packets from the VIP's interface and of
// this host itself are taken: what pods send has an address that only this host
// can answer.
func (r *ruleset) prerouting(guard bool) {
	chain := chainPrerouting
	if guard {
		// While accept_local is on, the kernel would believe anybody on the segment
		// that he is this host; only the predecessor's answers may look so.
		r.rule(chain, in(setGuarded, incoming()), fromHere(), notIn(setVIPs, incoming(), r.source), drop())
	}
	r.rule(chain, protocol(unix.IPPROTO_TCP), in(setOwned, incoming(), r.target, dport()), jump(chainOwner))
	r.rule(chain, protocol(unix.IPPROTO_TCP), in(setShadowed, incoming(), r.target, dport()), jump(chainShadow))
	r.rule(chain, in(setVIPs, incoming(), r.target),
		protocol(r.icmp), transport0in(r.icmpErrors.Name, r.icmpErrors.ID), jump(chainError))
}

// transport0in matches the first byte after the IP header against a set that has
// no name yet.
func transport0in(set string, id uint32) []expr.Any {
	return []expr.Any{transport(0, 1).load(registerA), &expr.Lookup{SourceRegister: registerA, SetName: set, SetID: id}}
}

// owner tells what is for this node from what is for an earlier owner.
func (r *ruleset) owner() {
	chain := chainOwner
	r.remember(chain)
	r.connected(chain)
	r.halfOpen(chain)
	r.rule(chain, goOn(chainOnward))
}

// shadow lets through what is for a connection here. It takes no new work: a SYN
// goes to the owner even if this node has seen it before.
func (r *ruleset) shadow() {
	chain := chainShadow
	r.connected(chain)
	r.rule(chain, protocol(unix.IPPROTO_TCP), opening(), goOn(chainOnward))
	r.halfOpen(chain)
	r.rule(chain, goOn(chainOnward))
}

// remember takes a new connection and notes who opens it, since a connection
// that is half open, or lives in a SYN cookie only, has no socket to be known by.
// When there is no room, that is noted.
func (r *ruleset) remember(chain string) {
	syn := rule(protocol(unix.IPPROTO_TCP), opening())
	r.rule(chain, syn, update(setSeen, false, r.tuple()...), local())
	r.rule(chain, syn, update(setFull, false, r.target), local())
	r.rule(chain, syn, local())
}

// connected lets through what is for a connection of this node: a full socket
// that is no listener. TIME_WAIT is none: the client may have opened the
// connection again, elsewhere, and a stale answer would stall that one for
// seconds.
func (r *ruleset) connected(chain string) {
	r.rule(chain, protocol(unix.IPPROTO_TCP), socket(expr.SocketKeyWildcard, 0), local())
}

// halfOpen lets through what is for a connection that is being opened here. Only
// when there was no room to note those, they are known by having any socket but
// the listener, and TIME_WAIT with them.
func (r *ruleset) halfOpen(chain string) {
	tcp := protocol(unix.IPPROTO_TCP)
	r.rule(chain, tcp, in(setSeen, r.tuple()...), local())
	r.rule(chain, tcp, socket(expr.SocketKeyWildcard, 1), goOn(chainOnward))
	r.rule(chain, in(setFull, r.target), tcp, socket(expr.SocketKeyTransparent, 0), local())
}

// tuple is source, port, VIP and port.
func (r *ruleset) tuple() []field { return []field{r.source, sport(), r.target, dport()} }

// onward passes a packet on. One that bears no stamp is stamped here, so that it
// cannot circle; a shadow sends it to the owner. The others go to the
// predecessor, down the chain, and at its end to the kernel, which resets what
// it does not know. While roles change, the chain may be a ring or be cut in two
// for a moment: then nothing that was passed on is reset but dropped, and the
// client sends it again.
func (r *ruleset) onward() {
	chain := chainOnward
	worn := compare(r.ttl, expr.CmpOpLte, lastTTL)
	r.rule(chain, r.unstamped(), goOn(chainFirst))
	r.rule(chain, worn, in(setSettling, r.target), goOn(chainSettling))
	r.rule(chain, worn, goOn(chainLooped))
	r.rule(chain, dup(mapPrev, r.target), goOn(chainForwarded))
	r.rule(chain, protocol(unix.IPPROTO_TCP), notOpening(), in(setSettling, r.target), goOn(chainSettling))

	r.rule(chainFirst, r.stamp(firstTTL))
	r.rule(chainFirst, dup(mapOwners, r.target), goOn(chainForwarded))
	r.rule(chainFirst, dup(mapPrev, r.target), goOn(chainForwarded))

	// Counting may end a rule when the set is full, so the verdict has its own.
	r.rule(chainForwarded, update(countForwarded, true, r.target))
	r.rule(chainForwarded, drop())
	r.rule(chainSettling, update(countDropped, true, r.target))
	r.rule(chainSettling, drop())
	r.rule(chainLooped, update(countLooped, true, r.target))
}

// errors sends a copy of ICMP errors the same way: path MTU discovery of a
// connection must reach the node that has it, whichever that is.
func (r *ruleset) errors() {
	chain := chainError
	r.rule(chain, compare(r.ttl, expr.CmpOpLte, lastTTL), local())
	r.rule(chain, r.unstamped(), r.stamp(firstTTL), dup(mapOwners, r.target), goOn(chainCopied))
	r.rule(chain, dup(mapPrev, r.target), goOn(chainCopied))
	r.rule(chainCopied, update(countErrors, true, r.target))
}

// leaving counts what was passed on and has met no filter on its way out.
func (r *ruleset) leaving() {
	for _, set := range []string{setOwned, setShadowed} {
		r.rule(chainLeaving, compare(r.ttl, expr.CmpOpLt, firstTTL),
			protocol(unix.IPPROTO_TCP), in(set, outgoing(), r.target, dport()),
			update(countLeft, true, r.target))
	}
}

// asking makes an owner ask for its neighbours from its own address. IPv6 asks
// from the address of the packet that waits, the VIP, and the answer would go
// where the neighbour believes the VIP to be, which may be the old owner still.
func (r *ruleset) asking() {
	const neighbourSolicitation = 135 // RFC 4861 4.3
	r.rule(chainAsking, protocol(unix.IPPROTO_ICMPV6), compare(transport(0, 1), expr.CmpOpEq, neighbourSolicitation), []expr.Any{
		r.source.load(registerA),
		&expr.Lookup{SourceRegister: registerA, DestRegister: registerA, IsDestRegSet: true, SetName: mapAsks},
		// The source is part of the sum at 2 of ICMPv6, which follows the header of 40.
		&expr.Payload{OperationType: expr.PayloadWrite, SourceRegister: registerA, Base: expr.PayloadBaseNetworkHeader,
			Offset: 8, Len: 16, CsumType: expr.CsumTypeInet, CsumOffset: 40 + 2},
	})
}

func (r *ruleset) unstamped() []expr.Any { return compare(r.ttl, expr.CmpOpGt, firstTTL) }
