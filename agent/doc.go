// Package agent is the core of the daemon: one goroutine, Agent.Run, that owns
// all state, asks pure code what to do, and has edges do it.
//
//	sockets - adverts, ┐                                ┌ adverts, hellos -> socket (inline, never blocks)
//	          hellos   │                                │
//	netlink - links    │   ┌──────── Agent.Run ───────┐ │ hold/release/announce -> applier -> netlink, ARP/NDP
//	probes  - health   ├──►│ machine.Step -> actions  ├─►│ questions -> prober
//	applier, - results │   │ one deadline, one timer  │ │ carry/pass on -> carrier -> nftables, lo, sock_diag
//	carrier            │   │                          │ │ drained mark -> disk
//	control - requests ┘   └──────────────────────────┘ └ status, history -> control, metrics
//
// The loop never waits: whatever may block runs in a goroutine of its own and
// comes back as an event. Sockets are drained by the loop itself, so that it
// knows that no advert is queued before it judges silence. Hellos come after
// adverts and timers, a bounded number of them in a turn.
package agent
