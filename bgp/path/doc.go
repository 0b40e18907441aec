// Package path finds out whether a VIP that this node holds itself is served
// through the routers by another node. A socket bound to the interface that
// leads to a router does not find the address on lo. Where a router still sends
// here, the connection comes back to this node's own server, which shows in the
// kernel's table of sockets: both ends are there.
//
// Where this node's way was made worse before, each of a few requests has to be
// served elsewhere; where it could not be, because another daemon announces it, one.
//
// Each router is asked by itself: for as long as the question lasts, a rule and a
// route of their own lead what such a socket sends to the VIP to that router, whatever
// way the kernel knows from the interface. Only for a VIP of the other family than the
// router's address, and where another daemon announces, the way is the kernel's own.
package path
