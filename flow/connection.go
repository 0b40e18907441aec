package flow

import (
	"net/netip"
	"slices"
	"time"
)

// idleFor is how long nothing must have been sent or received for a moment to be
// a good one to end a connection.
const idleFor = 200 * time.Millisecond

// Connections are the open connections to some VIPs on this node: in every state
// but LISTEN, CLOSE and TIME_WAIT.
type Connections struct {
	// Count is Local and Remote together.
	Count int
	// Local are those of clients on this host.
	Local int
	// Remote are those of everybody else.
	Remote int
	// Idle have nothing queued, nothing on its way and no data for 200 ms.
	Idle    int
	ByState map[State]int
}

// endpoint is a TCP socket as sock_diag tells it.
type endpoint struct {
	state         State
	local, remote netip.AddrPort // IPv4 as such, also on dual-stack sockets
	// queued are bytes received and not read, or sent and not acknowledged.
	queued uint32
	// quietFor is since when no data was sent or received; negative for unknown,
	// as for connections that are opening.
	quietFor time.Duration
	// handle is the family, the addresses and the cookie in the kernel's own form,
	// by which the socket can be named.
	handle handle
}

func (e endpoint) idle() bool { return e.queued == 0 && e.quietFor >= idleFor }

// to picks the sockets that serve connections to addrs and port.
func to(all []endpoint, addrs []netip.Addr, port uint16) []endpoint {
	return pick(all, func(e endpoint) bool {
		return e.state.counts() && e.local.Port() == port && slices.Contains(addrs, e.local.Addr())
	})
}

// strandedClients picks the sockets of clients on this host whose connection to
// addrs and port ends on another host, although the VIP is here now.
func strandedClients(all []endpoint, addrs []netip.Addr, port uint16) []endpoint {
	type ends struct{ local, remote netip.AddrPort }
	here := map[ends]bool{}
	for _, e := range to(all, addrs, port) {
		here[ends{e.remote, e.local}] = true
	}
	return pick(all, func(e endpoint) bool {
		return e.state.counts() && e.remote.Port() == port && slices.Contains(addrs, e.remote.Addr()) &&
			!here[ends{e.local, e.remote}]
	})
}

// listeners are the addresses that something listens at for a port.
func listeners(all []endpoint, port uint16) []netip.Addr {
	var found []netip.Addr
	for _, e := range all {
		if e.state == Listening && e.local.Port() == port && !slices.Contains(found, e.local.Addr()) {
			found = append(found, e.local.Addr())
		}
	}
	slices.SortFunc(found, netip.Addr.Compare)
	return found
}

// summary counts connections; isLocal tells this host's own addresses.
func summary(open []endpoint, isLocal func(netip.Addr) bool) Connections {
	c := Connections{ByState: map[State]int{}}
	for _, e := range open {
		c.Count++
		c.ByState[e.state]++
		if isLocal(e.remote.Addr()) {
			c.Local++
		} else {
			c.Remote++
		}
		if e.idle() {
			c.Idle++
		}
	}
	return c
}

func pick(all []endpoint, wanted func(endpoint) bool) []endpoint {
	var some []endpoint
	for _, e := range all {
		if wanted(e) {
			some = append(some, e)
		}
	}
	return some
}
