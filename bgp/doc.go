// Package bgp holds the words that the daemon and its speaker share: what is
// wanted of BGP, what became of it, and how the two tell each other.
//
//	vipd run                                   vipd speaker
//	agent -> process.Client ══ unix socket ══> speaker.Speaker -> gobgp.Session, one a neighbour
//	         Wanted, each half second                          -> bfd/udp.Engine
//	      <════════════════════════════════════ Report
//
// The speaker is a process of its own, because a parser that is fed by strangers
// may not end an election: what kills it leaves the daemon untouched, and it is
// started again. Each message is the whole of what is wanted, so the speaker can
// begin anew at any one of them; one that does not come any more makes the
// speaker withdraw everything (see Lapse).
package bgp
