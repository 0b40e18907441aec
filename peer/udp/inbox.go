package udp

import (
	"net/netip"

	"github.com/vipd/vipd/peer"
)

// places is how many hellos wait for the loop at most: a round of a few hellos
// each from more nodes than a control plane has.
const places = 64

// letter is a received datagram. One byte more than the longest hello shows that
// a datagram was longer.
type letter struct {
	src      netip.Addr
	hopLimit uint8
	length   int
	bytes    [peer.MaxSize + 1]byte
}

// inbox is the bounded queue between Run and the loop. Letters go round: the
// reader takes an empty one, the loop gives it back.
type inbox struct {
	empty, full chan *letter
	ready       chan struct{}
	// reading is the letter that the loop looks at.
	reading *letter
}

// newInbox reports on ready, or on a channel of its own.
func newInbox(ready chan struct{}) inbox {
	if ready == nil {
		ready = make(chan struct{}, 1)
	}
	in := inbox{
		empty: make(chan *letter, places),
		full:  make(chan *letter, places),
		ready: ready,
	}
	for range places {
		in.empty <- &letter{}
	}
	return in
}

// put hands a letter to the loop. There is always room: there are no more
// letters than places.
func (in *inbox) put(l *letter) {
	in.full <- l
	select {
	case in.ready <- struct{}{}:
	default: // the loop has been told already and has not come yet
	}
}

// next takes the next letter, which is valid until the next call.
func (in *inbox) next() (*letter, bool) {
	if in.reading != nil {
		in.empty <- in.reading
		in.reading = nil
	}
	select {
	case l := <-in.full:
		in.reading = l
		return l, true
	default:
		return nil, false
	}
}
