// Package counter turns probe results into verdicts: is the service behind a
// VIP ready to take clients, and does its process live. It is pure: no clock,
// no socket, no goroutine; the time of each result is passed in.
//
//	Result ──► Check: rise/fall ──┐
//	Result ──► Check: rise/fall ──┼──► Group: all healthy, unhealthy_delay ──► Verdict
//	Result ──► Check: rise/fall ──┘
//
// Readiness of one check:
//
//	             first result good                  fall failures in a row,
//	(unhealthy) ───────────────────► healthy ─────► or refused once ──► unhealthy
//	                                    ▲                                   │
//	                                    └──────── rise passes in a row ─────┘
//
// Liveness of one check: alive as soon as something answered, dead as soon as a
// local port refused, hung after fall time-outs or 5xx answers in a row,
// unknown before the first evidence and whenever a result is no evidence.
package counter
