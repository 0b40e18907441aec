package flow

import "fmt"

// State is a state of TCP in the kernel's numbers (net/tcp_states.h).
type State uint8

// The states of RFC 9293 3.3.2, without SYN-SENT, which no server has.
const (
	Established State = 1
	SynReceived State = 3
	FinWait1    State = 4
	FinWait2    State = 5
	TimeWait    State = 6
	Closed      State = 7
	CloseWait   State = 8
	LastAck     State = 9
	Listening   State = 10
	Closing     State = 11
)

func (s State) String() string {
	switch s {
	case Established:
		return "established"
	case SynReceived:
		return "syn-received"
	case FinWait1:
		return "fin-wait-1"
	case FinWait2:
		return "fin-wait-2"
	case TimeWait:
		return "time-wait"
	case Closed:
		return "closed"
	case CloseWait:
		return "close-wait"
	case LastAck:
		return "last-ack"
	case Listening:
		return "listening"
	case Closing:
		return "closing"
	default:
		return fmt.Sprintf("state %d", uint8(s))
	}
}

// counts tells whether a connection in this state has anything to lose. FIN_WAIT_1
// does: the last data may still be in the queue. TIME_WAIT does not.
func (s State) counts() bool {
	switch s {
	case Listening, Closed, TimeWait:
		return false
	default:
		return true
	}
}
