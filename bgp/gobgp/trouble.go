package gobgp

import (
	"fmt"

	gobgplog "github.com/osrg/gobgp/v3/pkg/log"
	wire "github.com/osrg/gobgp/v3/pkg/packet/bgp"
)

// trouble is why there is no session. It is picked from gobgp's lines, in their
// order: gobgp tells it nowhere else, and its events come later than they happen.
type trouble struct {
	// met is the first thing that went wrong with the present connection: what
	// comes after follows from it.
	met string
	// attempt is how the last attempt ended, lost how the last session did; empty:
	// there was none since the session was established.
	attempt, lost string
}

// note takes a line.
func (t *trouble) note(msg string, fields gobgplog.Fields) {
	switch msg {
	case "failed to connect":
		t.attempt = fmt.Sprintf("%s: %v", msg, fields["Error"])
	case "received notification":
		t.meet("the router ended the session: %s", notification(fields))
	case "sent notification":
		t.meet("this node ended the connection: %s", notification(fields))
	case "hold timer expired":
		t.meet("nothing was heard from the router for the hold time")
	case "failed to send":
		t.meet("%s: %v", msg, fields["Data"])
	case "state changed":
		t.turn(fmt.Sprint(fields["old"]), fmt.Sprint(fields["new"]), fmt.Sprint(fields["reason"]))
	}
}

func (t *trouble) meet(format string, args ...any) {
	if t.met == "" {
		t.met = fmt.Sprintf(format, args...)
	}
}

// turn takes a change of the session's state, and gobgp's reason for it.
func (t *trouble) turn(from, to, reason string) {
	opening, established := wire.BGP_FSM_OPENSENT.String(), wire.BGP_FSM_ESTABLISHED.String()
	connected := from == opening || from == wire.BGP_FSM_OPENCONFIRM.String()
	switch {
	case to == established:
		*t = trouble{}
	case to == opening:
		t.met = ""
	case from == established:
		t.meet("%s", loss(reason))
		t.lost, t.attempt = t.met, ""
	case connected && to == wire.BGP_FSM_IDLE.String():
		t.meet("%s", refusal(reason))
		t.attempt = t.met
	}
}

// loss is why a session ended of which nothing else was told.
func loss(reason string) string {
	switch reason {
	// With graceful restart gobgp calls the end of a connection by that name.
	case "read-failed", "graceful-restart":
		return "the router closed the connection, or the way to it was lost"
	}
	return "the session was lost: " + reason
}

// refusal is why a connection came to no session, where nothing else was told.
// What a router says in place of an OPEN, or of a KEEPALIVE after it, gobgp drops.
func refusal(reason string) string {
	const look = "is this node's address configured there as a neighbour, with this node's AS number and its own as they are here?"
	switch reason {
	case "read-failed":
		return "the router closed the connection before there was a session: " + look
	case "invalid-msg":
		return "the router refused the session: " + look
	}
	return "the router made no session: " + reason
}

// notification is what a line tells of a NOTIFICATION: an error of RFC 4271 4.5
// in words, and the text of RFC 9003, which comes from a stranger.
func notification(fields gobgplog.Fields) string {
	code, isCode := fields["Code"].(uint8)
	subcode, isSubcode := fields["Subcode"].(uint8)
	if !isCode || !isSubcode {
		return fmt.Sprint(fields["Data"])
	}
	text := wire.NewNotificationErrorCode(code, subcode).String()
	if said := fields["Communicated-Reason"]; said != nil && said != "" {
		text += fmt.Sprintf(", %q", said)
	}
	return text
}

// String tells the last trouble first; empty: none is known.
func (t *trouble) String() string {
	switch {
	case t.attempt == "":
		return t.lost
	case t.lost == "":
		return t.attempt
	}
	return t.attempt + "; before that, " + t.lost
}
