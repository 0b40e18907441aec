package measure

import "time"

// Record is one line of what the client process prints; one field is set.
type Record struct {
	Request *Request  `json:"request,omitempty"`
	Stream  *Stream   `json:"stream,omitempty"`
	Settled time.Time `json:"settled,omitzero"` // all requests started before this are recorded
}

// Request is one finished request on a connection of its own.
type Request struct {
	At    time.Time     `json:"at"`              // its start
	Took  time.Duration `json:"took"`            // until the answer or the failure, ns
	Late  time.Duration `json:"late"`            // how much later than planned the client started it, ns
	Node  string        `json:"node,omitempty"`  // who answered
	Error string        `json:"error,omitempty"` // one of the Err words; empty for an answered request
}

// What became of a request or stream, as a word.
const (
	ErrRefused     = "refused"     // the host answered with a reset at once
	ErrReset       = "reset"       // the connection stood and was reset
	ErrTimeout     = "timeout"     // no answer in time
	ErrUnreachable = "unreachable" // the network said so, or there was no neighbour
	ErrClosed      = "closed"      // the connection ended before the answer did
	ErrSilent      = "silent"      // a stream without lines while a control stream had them
	ErrStatus      = "status"      // an answer other than 200
	ErrOther       = "other"
)

// Stream is something that happened to one of the client's streams. A line that
// follows shortly after the one before is recorded only now and then.
type Stream struct {
	ID      int           `json:"id"`
	Control bool          `json:"control,omitempty"` // not to the VIP but to a node's own address
	Event   StreamEvent   `json:"event"`
	At      time.Time     `json:"at"`
	Node    string        `json:"node,omitempty"`  // who sends it
	Gap     time.Duration `json:"gap,omitempty"`   // of a line: since the one before, ns
	Error   string        `json:"error,omitempty"` // of an end: an Err word
}

// StreamEvent is the kind of a Stream record.
type StreamEvent string

// What can happen to a stream.
const (
	Opened StreamEvent = "opened" // connected, first line arrived
	Line   StreamEvent = "line"
	Ended  StreamEvent = "ended" // broken; the client opens it anew under the same id
)

// lineEvery is how often at least a flowing stream is recorded, and longGap the gap between two
// lines that is always recorded.
const (
	lineEvery = 100 * time.Millisecond
	longGap   = 30 * time.Millisecond
)
