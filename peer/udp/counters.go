package udp

import "sync/atomic"

// Counters counts what a Socket did not hand out, since it was opened.
type Counters struct {
	// Oversized datagrams were longer than any hello.
	Oversized uint64
	// Overflowed datagrams found the kernel's queue full. The kernel tells with
	// the next datagram that it does not drop, and starts anew after 2^32.
	Overflowed uint64
}

// counts are written by Run and read by others.
type counts struct {
	oversized  atomic.Uint64
	overflowed atomic.Uint64
}

// Counters returns the counts up to now.
func (c *counts) Counters() Counters {
	return Counters{Oversized: c.oversized.Load(), Overflowed: c.overflowed.Load()}
}
