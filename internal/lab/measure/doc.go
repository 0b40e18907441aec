// Package measure says what a client of a VIP saw. The client runs as a process
// of its own and never waits for anybody: it starts a fresh TCP connection with
// a small request at fixed moments, whatever became of the ones before (an open
// loop, which a stalled service cannot slow down and thereby hide its outage),
// and keeps long streams open, some to the VIP and control streams to the nodes' own addresses.
//
//	client process: Run ── a Record per line ──► Client (in the lab's process) ── Summarise ──► Report
//
// The records carry the time of day, so that they stand in one timeline with
// the daemons' logs on the same machine; durations are taken by the monotonic
// clock.
package measure
