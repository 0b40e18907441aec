// Package bfd is Bidirectional Forwarding Detection (RFC 5880) as pure code:
// the packet codec, one session's machine, and a table of sessions that knows
// whose deadline is next. It has no socket, clock or goroutine; the time comes
// in, packets go out.
//
//	       ┌──────── their admin-down, or silence ───────────┐
//	       v                                                 │
//	┌─> [Down] ── they say down ──> [Init] ── init or up ──> [Up]
//	│      └───────── they say init ─────────────────────────^
//	└─ silence ─────────────────────┘
//
// Asynchronous mode, with polls. Demand mode is borne when the other side has
// it, and not entered; echo is not offered; authentication is not supported, and
// packets that have it are refused, as 6.8.6 says of a session without.
//
// A session that is not up sends once a second (6.8.3), so hosts that are down
// cost nobody much. Nothing here allocates once a session exists.
package bfd
