// Package router runs real routing daemons on a host of a lab: FRR (bgpd, zebra
// and bfdd) and BIRD 2. A Peering says in plain values what both of them are to
// do; each writes it in its own language.
package router
