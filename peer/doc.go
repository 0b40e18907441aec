// Package peer is how vipd nodes know each other: the hello, its authentication,
// and the table of peers. It is pure: no socket, clock, logger or goroutine.
//
//	Datagram ─► Keyring.open ─► Parser ─► Table.Received ─► changes ─► agent
//	 (peer/udp)  tag, key id    sections   fresh? replayed?             │
//	                                       known?                       │
//	Datagram ◄─ Keyring.seal ◄─ Sender ◄── Table.Greet ◄─── Beat.Due ◄──┘
//	                            splits     nonce, echoes    when to send
//
// Hellos coordinate, they do not elect: without them every VIP still moves, only
// without its connections. docs/peers.md has the wire form byte by byte and the
// reasoning behind the authentication.
//
// What a Table knows of a node:
//
//	           accepted hello                silent for Lifetime
//	(unknown) ───────────────► Alive ◄──────────────────────────► Silent
//	                             │  ▲   accepted hello               │
//	            "I am stopping"  ▼  │ accepted hello                 │
//	                             Left                                │
//	                              └──────► (unknown) ◄───────────────┘
//	                               after Retention, or a place is needed
//
// With a key a hello is accepted only if it is authentic, new, and echoes a
// nonce that this node drew in the last seconds.
package peer
