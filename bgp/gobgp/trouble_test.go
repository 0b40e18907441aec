package gobgp

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	gobgplog "github.com/osrg/gobgp/v3/pkg/log"

	"github.com/vipd/vipd/bgp"
	"github.com/vipd/vipd/bgp/bgptest"
)

func TestStateTellsWhyASessionWasLost(t *testing.T) {
	leave := func(words []byte) func(*Session, *bgptest.Router) error {
		return func(_ *Session, r *bgptest.Router) error { return r.Leave(words) }
	}
	rows := []struct {
		name string
		end  func(*Session, *bgptest.Router) error
		want string
	}{
		{"the router is shut down, and says why (RFC 9003)", leave(bgptest.Notification(6, 2, "maintenance until 9\n")),
			`the router ended the session: code 6(cease) subcode 2(administrative shutdown), "maintenance until 9\n"`},
		{"it is shut down without a word", leave(bgptest.Notification(6, 2, "")),
			"the router ended the session: code 6(cease) subcode 2(administrative shutdown)"},
		{"it was told too many prefixes (RFC 4486)", leave(bgptest.Notification(6, 1, "")),
			"the router ended the session: code 6(cease) subcode 1(maximum number of prefixes reached)"},
		{"it closes the connection", leave(nil), "the router closed the connection, or the way to it was lost"},
		{"it sends what is no message", leave(bgptest.Garbage()), "this node ended the connection: code 1(header) subcode 2(bad message length)"},
		{"it falls silent (RFC 4271 6.5)", func(_ *Session, r *bgptest.Router) error { return r.FallSilent() },
			"nothing was heard from the router for the hold time"},
		{"BFD ends it here", func(s *Session, r *bgptest.Router) error {
			if err := r.FallSilent(); err != nil {
				return err
			}
			return s.Reset("BFD: nothing was heard for the detection time")
		}, `this node ended the connection: code 6(cease) subcode 4(administrative reset), "BFD: nothing was heard for the detection time"`},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			l := bgptest.Listen(t, bgptest.IPv4())
			s := reachedAs(t, l, func(n *bgp.Neighbor) { n.HoldTime = 3 * time.Second })
			defer closed(t, s)
			if st := s.State(); st.Error != "" {
				t.Errorf("established, and the error is %q", st.Error)
			}
			if err := row.end(s, l); err != nil {
				t.Fatal(err)
			}
			await(t, "the reason", func() error {
				// Attempts after it may have been refused already.
				if st := s.State(); st.State == bgp.Established || !strings.HasSuffix(st.Error, row.want) {
					return fmt.Errorf("it is %s, %q", st.State, st.Error)
				}
				return nil
			})
		})
	}
}

func TestStateTellsWhyThereWasNeverASession(t *testing.T) {
	const look = "is this node's address configured there as a neighbour, with this node's AS number and its own as they are here?"
	rows := []struct {
		name   string
		router func(*testing.T) *bgptest.Router
		asn    uint32
		want   string
	}{
		{"it closes the connection of one that it does not know", func(t *testing.T) *bgptest.Router { return bgptest.Refuse(t, nil) },
			bgptest.ASN, "the router closed the connection before there was a session: " + look},
		{"it has another AS number for this node (RFC 4271 6.2)", func(t *testing.T) *bgptest.Router {
			return bgptest.Refuse(t, bgptest.Notification(2, 2, ""))
		}, bgptest.ASN, "the router refused the session: " + look},
		{"it is of another AS than was configured", func(t *testing.T) *bgptest.Router { return bgptest.Listen(t) },
			bgptest.ASN + 1, "this node ended the connection: as number mismatch expected 64501, received 64500"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			n := bgp.Neighbor{
				Address: netip.MustParseAddr("127.0.0.1"), Port: row.router(t).Address().Port(), ASN: row.asn, HoldTime: 9 * time.Second,
			}
			s, err := Open(Local{ASN: 64512, RouterID: netip.MustParseAddr("192.0.2.11")}, n, slog.New(slog.DiscardHandler), func() {})
			if err != nil {
				t.Fatal(err)
			}
			defer closed(t, s)
			await(t, "the reason", func() error {
				if st := s.State(); st.Error != row.want {
					return fmt.Errorf("it is %s, %q", st.State, st.Error)
				}
				return nil
			})
		})
	}
}

func closed(t *testing.T, s *Session) {
	t.Helper()
	if err := s.Close("the test ends"); err != nil {
		t.Error(err)
	}
}

// line is one of gobgp's.
type line struct {
	msg    string
	fields gobgplog.Fields
}

func changed(from, to, reason string) line {
	return line{"state changed", gobgplog.Fields{"old": "BGP_FSM_" + from, "new": "BGP_FSM_" + to, "reason": reason}}
}

func TestTroubleIsTheNewest(t *testing.T) {
	refused := line{"failed to connect", gobgplog.Fields{"Error": "connection refused"}}
	cease := line{"received notification", gobgplog.Fields{"Code": uint8(6), "Subcode": uint8(3)}}
	lost := []line{cease, changed("ESTABLISHED", "IDLE", "notification-received")}
	const why = "the router ended the session: code 6(cease) subcode 3(peer deconfigured)"
	rows := []struct {
		name  string
		lines []line
		want  string
	}{
		{"nothing has happened", nil, ""},
		{"no connection", []line{refused}, "failed to connect: connection refused"},
		{"a session was lost", lost, why},
		{"it was lost, and is tried in vain", append(lost, refused), "failed to connect: connection refused; before that, " + why},
		{"it was lost, and the router does not know this node", append(lost, changed("ACTIVE", "OPENSENT", "new-connection"), changed("OPENSENT", "IDLE", "read-failed")),
			refusal("read-failed") + "; before that, " + why},
		{"an attempt that is under way says nothing of itself", append(lost, refused, changed("ACTIVE", "OPENSENT", "new-connection"), changed("OPENSENT", "OPENCONFIRM", "open-msg-received")),
			"failed to connect: connection refused; before that, " + why},
		{"all is forgotten when a session is there", append(lost, refused, changed("OPENCONFIRM", "ESTABLISHED", "open-msg-negotiated")), ""},
		{"and the next loss is the next one's", append(lost, changed("OPENCONFIRM", "ESTABLISHED", "open-msg-negotiated"), changed("ESTABLISHED", "IDLE", "read-failed")),
			loss("read-failed")},
		{"the cause counts, not what follows from it", []line{
			{"hold timer expired", nil}, {"sent notification", gobgplog.Fields{"Code": uint8(4), "Subcode": uint8(0)}}, changed("ESTABLISHED", "IDLE", "hold-timer-expired"),
		}, "nothing was heard from the router for the hold time"},
		{"graceful restart hides the reason", []line{changed("ESTABLISHED", "IDLE", "graceful-restart")}, loss("read-failed")},
		{"a reason without a line", []line{changed("ESTABLISHED", "IDLE", "hard-reset")}, "the session was lost: hard-reset"},
		{"nothing could be sent", []line{{"failed to send", gobgplog.Fields{"Data": "broken pipe"}}, changed("ESTABLISHED", "IDLE", "write-failed")}, "failed to send: broken pipe"},
		{"an idle session that waits for a restart is no attempt", append(lost, changed("IDLE", "IDLE", "restart-timer-expired")), why},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			var got trouble
			for _, l := range row.lines {
				got.note(l.msg, l.fields)
			}
			if got.String() != row.want {
				t.Errorf("got %q\nwant %q", got.String(), row.want)
			}
		})
	}
}
