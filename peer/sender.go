package peer

import "net/netip"

// Sender turns what a node has to say into datagrams. One Sender serves all
// links of a node: sequence numbers belong to the node's life.
type Sender struct {
	keys     *Keyring
	sequence uint64
	buffer   []byte
}

// NewSender returns a sender for a new life. A nil keyring sends hellos without
// a tag.
func NewSender(keys *Keyring) *Sender {
	return &Sender{keys: keys, buffer: make([]byte, 0, MaxSize)}
}

// Rekey changes the keys of what is sent from now on.
func (s *Sender) Rekey(keys *Keyring) { s.keys = keys }

// Each gives the datagrams that say all of h to send, in turn: one, or more if
// h has more statements than fit. They are valid for sending from src only, to
// any number of peers or a group. A datagram belongs to the Sender and is valid
// until send returns.
func (s *Sender) Each(h *Hello, src netip.Addr, send func(datagram []byte)) {
	for next := 0; ; {
		s.sequence++
		h.Sequence = s.sequence
		s.buffer, next = h.Append(s.buffer[:0], next)
		if s.keys != nil {
			s.buffer = s.keys.seal(s.buffer, src)
		}
		send(s.buffer)
		if next >= len(h.Statements) {
			return
		}
	}
}
