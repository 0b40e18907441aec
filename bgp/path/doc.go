// Package path finds out whether a VIP that this node holds itself is served
// through the routers by another node. A socket bound to the interface that
// leads to a router does not find the address on lo. Where a router still sends
// here, the connection comes back to this node's own server, which shows in the
// kernel's table of sockets: both ends are there.
//
// Where this node's way was made worse before, each of a few requests has to be
// served elsewhere; where it could not be, because another daemon announces it, one.
//
// The way is the kernel's own from that interface: where a router is not its next
// hop to the VIP, as the default gateway is, another router may be asked.
package path
