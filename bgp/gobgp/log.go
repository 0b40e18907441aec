package gobgp

import (
	"fmt"
	"maps"
	"os"
	"slices"

	gobgplog "github.com/osrg/gobgp/v3/pkg/log"
	wire "github.com/osrg/gobgp/v3/pkg/packet/bgp"
)

// logger gives gobgp's lines to the session's log, and picks from them why a
// session does not come up: gobgp tells that nowhere else. They are for debugging
// only: a router makes gobgp warn of each packet, and what matters shows in
// State.
type logger struct{ session *Session }

// note keeps what says why there is no session.
func (l *logger) note(msg string, fields gobgplog.Fields) {
	switch msg {
	case "failed to connect":
		l.session.blame(fmt.Sprintf("%s: %v", msg, fields["Error"]))
	case "Peer Down":
		l.session.blame(fmt.Sprintf("the session was lost: %v", fields["Reason"]))
	case "received notification":
		l.session.blame(fmt.Sprintf("%s: %v", msg, notification(fields["Code"], fields["Subcode"])))
	case "sent notification":
		l.session.blame(fmt.Sprintf("%s: %v", msg, fields["Data"]))
	}
}

// notification is an error of RFC 4271 4.5 in words.
func notification(code, subcode any) string {
	c, isCode := code.(uint8)
	sub, isSubcode := subcode.(uint8)
	if !isCode || !isSubcode {
		return fmt.Sprintf("code %v, subcode %v", code, subcode)
	}
	return wire.NewNotificationErrorCode(c, sub).String()
}

func pairs(fields gobgplog.Fields) []any {
	all := make([]any, 0, 2*len(fields))
	for _, k := range slices.Sorted(maps.Keys(fields)) {
		if k != "Topic" && k != "Key" {
			all = append(all, k, fmt.Sprint(fields[k]))
		}
	}
	return all
}

// Panic and Fatal report a fault in gobgp's own logic. It can not go on, and the
// process is there to be started again.
func (l *logger) Panic(msg string, fields gobgplog.Fields) {
	l.session.log.Error(msg, pairs(fields)...)
	panic(msg)
}

func (l *logger) Fatal(msg string, fields gobgplog.Fields) {
	l.session.log.Error(msg, pairs(fields)...)
	os.Exit(1)
}

func (l *logger) Error(msg string, fields gobgplog.Fields) {
	l.note(msg, fields)
	l.session.log.Debug(msg, pairs(fields)...)
}

func (l *logger) Warn(msg string, fields gobgplog.Fields) {
	l.note(msg, fields)
	l.session.log.Debug(msg, pairs(fields)...)
}

func (l *logger) Info(msg string, fields gobgplog.Fields) {
	if msg == "Delete a peer configuration" {
		l.session.reaper.deletes()
	}
	l.note(msg, fields)
	l.session.log.Debug(msg, pairs(fields)...)
}

func (l *logger) Debug(msg string, fields gobgplog.Fields) {
	l.note(msg, fields)
	l.session.log.Debug(msg, pairs(fields)...)
}

func (l *logger) SetLevel(gobgplog.LogLevel) {}

// GetLevel makes gobgp tell failed connections, which it does at debug.
func (l *logger) GetLevel() gobgplog.LogLevel { return gobgplog.DebugLevel }
