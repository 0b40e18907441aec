package peer

import "errors"

// Reasons to refuse a datagram. Their texts are also the label values of the
// metric of refused hellos.
var (
	// ErrHopLimit: it came through a router.
	ErrHopLimit = errors.New("hop-limit")
	// ErrInterface: no hellos are expected on that interface.
	ErrInterface = errors.New("interface")
	// ErrVersion: no hello, or of another major version.
	ErrVersion = errors.New("version")
	// ErrMalformed: it contradicts the wire form.
	ErrMalformed = errors.New("malformed")
	// ErrUntagged: this node has a key, the sender has none.
	ErrUntagged = errors.New("untagged")
	// ErrKey: authenticated by a key that this node does not have.
	ErrKey = errors.New("unknown-key")
	// ErrTag: the tag does not fit: forged, changed, or sent on by somebody else.
	ErrTag = errors.New("bad-tag")
	// ErrOwn: this node's own hello came back.
	ErrOwn = errors.New("own")
	// ErrReplayed: a datagram of that sequence number was heard before.
	ErrReplayed = errors.New("replayed")
	// ErrUnproven: authentic, but of a life that has not echoed a nonce of this
	// node yet. Each new peer's first hello is.
	ErrUnproven = errors.New("unproven")
	// ErrStale: authentic and new, of a proven peer, but without an echo of a
	// recent nonce: the peer does not hear this node, or somebody held the
	// datagram back.
	ErrStale = errors.New("stale")
	// ErrForeign: unauthenticated, of a node that shares no VIP with this one, or
	// that is not listed as a peer.
	ErrForeign = errors.New("foreign")
	// ErrNamesake: of another node that has the name of this node or of a living
	// peer.
	ErrNamesake = errors.New("namesake")
	// ErrFull: the table has no place for another node.
	ErrFull = errors.New("full")
)
