// Package flow keeps open TCP connections alive when a VIP moves. It makes rules
// for the kernel; no packet passes through this process.
//
//	client ──► owner ── knows the connection? ── yes ──► its own API server
//	              │ no: second chance, by MAC, unchanged but for the TTL
//	              ▼
//	           shadow ── knows it? ── yes ──► its API server ──► client
//	              │ no                        (answers directly)
//	              ▼
//	           next shadow … at the end of the chain the kernel resets
//
//	Apply         rules of owners and shadows      nftables, tables `vipd` in ip and ip6
//	HoldShadow    the VIP kept silently on lo      rtnetlink
//	Connections   what is still open               sock_diag
//	Reset         tells the clients                SOCK_DESTROY
//	Watch         somebody flushed our rules       nfnetlink
//
// Nothing here decides who owns a VIP: the caller says what should be true, and
// a call may be repeated from any state. The rules are the same at all times;
// what they do hangs on set elements, which expire by themselves, as the
// addresses on lo do. A killed process leaves a table that does nothing.
//
// docs/handover.md explains the rules with a picture of the packets.
//
// Sockets are opened by [New], by [Flow.Watch], and anew after a transaction that
// the kernel refused, in the network namespace of the calling thread.
// CAP_NET_ADMIN suffices.
package flow
