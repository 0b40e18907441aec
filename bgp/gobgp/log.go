package gobgp

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"

	gobgplog "github.com/osrg/gobgp/v3/pkg/log"
)

// logger gives gobgp's lines to the session's log, and to its trouble. They are for
// debugging only: a router makes gobgp warn of each packet, and what matters shows
// in State.
type logger struct{ session *Session }

func pairs(fields gobgplog.Fields) []any {
	all := make([]any, 0, 2*len(fields))
	for _, k := range slices.Sorted(maps.Keys(fields)) {
		if k != "Topic" && k != "Key" {
			all = append(all, k, fmt.Sprint(fields[k]))
		}
	}
	return all
}

// debug costs nothing where nobody reads it: a router may send a million routes.
func (l *logger) debug(msg string, fields gobgplog.Fields) {
	if l.session.log.Enabled(context.Background(), slog.LevelDebug) {
		l.session.log.Debug(msg, pairs(fields)...)
	}
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
	l.session.blame(msg, fields)
	l.debug(msg, fields)
}

func (l *logger) Warn(msg string, fields gobgplog.Fields) {
	l.session.blame(msg, fields)
	l.debug(msg, fields)
}

func (l *logger) Info(msg string, fields gobgplog.Fields) {
	if msg == "Delete a peer configuration" {
		l.session.reaper.deletes()
	}
	l.session.blame(msg, fields)
	l.debug(msg, fields)
}

func (l *logger) Debug(msg string, fields gobgplog.Fields) {
	l.session.blame(msg, fields)
	l.debug(msg, fields)
}

func (l *logger) SetLevel(gobgplog.LogLevel) {}

// GetLevel makes gobgp tell failed connections, which it does at debug.
func (l *logger) GetLevel() gobgplog.LogLevel { return gobgplog.DebugLevel }
