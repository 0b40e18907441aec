// Package path finds out whether a VIP that this node holds itself is served
// through the routers by another node. A socket bound to the interface that
// leads to the routers does not find the address on lo; and what comes back to
// this node, because a router still sends it here, has this node's own address
// as its source from outside and reaches no server. So an answer is another
// node's.
package path
