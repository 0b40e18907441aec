package counter

import "fmt"

// Outcome is what one question of a probe came to. Its String is one of a
// fixed set of words, fit for a metric label.
type Outcome uint8

// The outcomes. All but OK speak against readiness; Unauthorised leaves it to
// liveness.
const (
	// Unasked: the check has no such question.
	Unasked Outcome = iota
	// OK: HTTP status 200 to 299, a TCP connection, exit status 0.
	OK
	// Unauthorised: HTTP status 401 or 403. The process answers; whether it is
	// ready it does not tell.
	Unauthorised
	// NotReady: any other HTTP status below 500, or a non-zero exit status.
	NotReady
	// ServerError: HTTP status 500 to 599.
	ServerError
	// Timeout: no answer within the check's timeout.
	Timeout
	// Refused: a local port refused the connection: nothing listens there.
	Refused
	// Unreachable: no connection for another reason (no route, refused by
	// another host), or one that ended before the answer.
	Unreachable
	// Untrusted: no TLS session, most often because the server's certificate
	// is not good.
	Untrusted
	// Unconfigured: the check itself cannot run, for example because ca_file
	// does not exist yet.
	Unconfigured
)

// String is the outcome's word.
func (o Outcome) String() string {
	switch o {
	case Unasked:
		return "unasked"
	case OK:
		return "ok"
	case Unauthorised:
		return "unauthorised"
	case NotReady:
		return "not-ready"
	case ServerError:
		return "server-error"
	case Timeout:
		return "timeout"
	case Refused:
		return "refused"
	case Unreachable:
		return "unreachable"
	case Untrusted:
		return "untrusted"
	case Unconfigured:
		return "unconfigured"
	}
	panic(fmt.Sprintf("counter: unknown outcome %d", uint8(o)))
}

// answers reports whether the outcome shows that the process does its work:
// an HTTP answer below 500 came back.
func (o Outcome) answers() bool {
	return o == OK || o == Unauthorised || o == NotReady
}

// Result is the summary of one probe.
type Result struct {
	// Ready is the answer to "may clients come?".
	Ready Outcome
	// Live is the answer to "does the process live?".
	Live Outcome
	// Reason is one line for an operator: what is wrong and what mends it.
	// Empty when all is well.
	Reason string
}

// passes reports whether the result counts towards rise (true) or fall.
// Unauthorised readiness is taken from liveness: a cluster without anonymous
// authentication answers 401 while all is well, and a check without a liveness
// question has seen life in that very answer.
func (r Result) passes() bool {
	switch r.Ready {
	case OK:
		return true
	case Unauthorised:
		return r.Live == Unasked || r.Live.answers()
	case Unasked, NotReady, ServerError, Timeout, Refused, Unreachable, Untrusted, Unconfigured:
		return false
	}
	panic(fmt.Sprintf("counter: unknown outcome %d", uint8(r.Ready)))
}
