// Package vrrp is the election of one VIP group by VRRP (RFC 9568), as pure
// code: a packet codec and a state machine that takes the time and an event and
// returns actions. It holds no socket, clock, logger or goroutine.
//
//	         LinkUp                 silence, nobody ever heard, or peers in doubt
//	 Init ──────────► Backup ──────────────────────────► Probing
//	  ▲                │ ▲ │ ▲  answered, or an advert      │
//	  │ LinkDown       │ │ │ └─────────────────────────────┤
//	(from any)         │ │ │ owner of a lower band          │ no answer
//	                   │ │ └─────────► Displacing           │
//	           silence │ │ Held fails      │ Held           │
//	                   │ │◄────────────────┤                │
//	                   ▼ │ better owner    ▼                │
//	                  Active ◄──────────────────────────────┘
//	                   │ ▲ late by more than ActiveDownInterval
//	                   ▼ │ nobody heard
//	                 Listening
//
// Probing, Displacing and Listening are ours; seen from the wire the first two
// are RFC 9568's Backup and the last one is an Active that is silent for one
// interval. docs/vrrp.md lists each rule and each deviation.
package vrrp
