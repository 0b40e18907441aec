// Package lease is the election of one VIP group by a lease in the cluster's
// store, etcd, as pure code: a machine that takes the time and what happened, and
// returns what to do. It holds no socket, clock, logger or goroutine.
//
// In the store a group has one owner key, bound to the lease of the node that
// holds it, and a candidacy of each node with its band. Whoever's lease the owner
// key is bound to may have the VIP, until TTL after the instant before it asked
// for the last renewal, less a margin, by its own monotonic clock. Nothing that
// the store says later makes that longer.
//
//	         LinkUp
//	 Init ──────────► Backup ◄─────────────────────────────────────┐
//	  ▲                │   │ the owner key was passed to this node   │
//	  │ LinkDown       │   └────────────► Displacing                 │
//	(from any)         │ the key is free,      │ held                │
//	                   │ and was taken         ▼                     │
//	                   └──────────────────► Active ──────────────────┤ not confirmed in
//	                                         │  ▲                    │ time, or lost
//	                      a successor is     ▼  │ it did not         │
//	                      wanted and there  Listening ───────────────┘ passed
//
// States, events and actions are those of package vrrp, so that an agent needs
// no second set. Listening is an owner that is silent: its addresses are off the
// segment while the key is on its way. Calls to the store are not actions but
// orders: they take time, and their answers come as events.
//
// A machine that bootstraps lets VRRP elect until the store has answered once.
package lease
