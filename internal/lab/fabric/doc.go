// Package fabric is a lab whose hosts announce VIPs to a router by BGP, with a
// client behind that router:
//
//	cp1 ─┐
//	cp2 ─┼─ switch ── router ── remote (the measuring client)
//	cp3 ─┘
//
// Tests tell stories on it, the benchmark measures it.
package fabric
