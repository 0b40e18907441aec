// Package speaker is the core of the speaker process: it reads what the daemon
// wants, brings sessions and routes there, and reports.
//
//	socket ── Wanted ──> Speaker.Run ──> neighbor, a goroutine each ──> Session
//	       <── Report ──      └────────> Watcher (BFD) ── down ──> Session.Reset
//
// It dies with the daemon: when the socket ends it withdraws everything, tells
// the neighbours, and returns. A daemon that says nothing for bgp.Lapse is taken
// for frozen: its routes are withdrawn until it speaks again.
package speaker
