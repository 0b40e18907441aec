// Package gobgp speaks BGP by means of gobgp. It is the only package that knows
// gobgp, so that its next major version is a change here.
//
// Each neighbour has a server of its own, with a RIB that holds nothing but what
// is announced to it. So one router's routes can not reach another, attributes
// can differ between neighbours without policies, and a neighbour that flaps
// keeps nobody else waiting. A server costs some 200 kB.
//
// gobgp v3.37.0 ends the process on a message of unknown type and on a truncated
// EVPN NLRI, in a goroutine of its own. The goroutines of a session bear the
// label LabelNeighbor, which the traceback shows, so that whoever started the
// process can tell whose messages it was.
package gobgp
