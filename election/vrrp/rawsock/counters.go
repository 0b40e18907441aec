package rawsock

// Counters counts what a Socket did not hand out, since it was opened.
type Counters struct {
	// Oversized datagrams were longer than any advert.
	Oversized uint64
	// Malformed datagrams had a bad IP header or were shorter than it said.
	Malformed uint64
	// Fragments are pieces of adverts; they are not put together. An advert
	// that does not fit the link's MTU holds too many addresses.
	Fragments uint64
	// Overflowed datagrams found the kernel's queue full: the loop did not
	// drain it for too long. The kernel drops what comes last, so the queue then
	// tells how things were at the beginning of that time.
	Overflowed uint64
}

// note counts a discarded datagram.
func (c *Counters) note(v verdict) {
	switch v {
	case accepted:
	case oversized:
		c.Oversized++
	case malformed:
		c.Malformed++
	case fragmented:
		c.Fragments++
	default:
		panic("rawsock: unhandled verdict")
	}
}
