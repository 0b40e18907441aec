package systemd

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-systemd/v22/journal"
	"github.com/google/go-cmp/cmp"
)

// entry is what journald would be sent.
type entry struct {
	Message  string
	Priority journal.Priority
	Fields   map[string]string
}

func TestRecordsBecomeEntriesWithFields(t *testing.T) {
	for _, row := range []struct {
		name string
		log  func(*slog.Logger)
		want entry
	}{
		{"attributes are in the message for people and beside it for programs; no time, no level",
			func(l *slog.Logger) { l.Info("VIP state", "vip", "apiserver", "reason", "owner-silent") },
			entry{"VIP state vip=apiserver reason=owner-silent", journal.PriInfo, map[string]string{"VIPD_VIP": "apiserver", "VIPD_REASON": "owner-silent"}}},
		{"what a logger has already comes first",
			func(l *slog.Logger) { l.With("vip", "a").Warn("late", "by", 300*time.Millisecond) },
			entry{"late vip=a by=300ms", journal.PriWarning, map[string]string{"VIPD_VIP": "a", "VIPD_BY": "300ms"}}},
		{"groups are parts of the name",
			func(l *slog.Logger) {
				l.WithGroup("peer").With("name", "cp2").Error("gone", slog.Group("last", "seen", 3))
			},
			entry{"gone peer.name=cp2 peer.last.seen=3", journal.PriErr, map[string]string{"VIPD_PEER_NAME": "cp2", "VIPD_PEER_LAST_SEEN": "3"}}},
		{"a name that the journal does not take is made one",
			func(l *slog.Logger) { l.Debug("stopping", "at most", time.Second) },
			entry{`stopping "at most"=1s`, journal.PriDebug, map[string]string{"VIPD_AT_MOST": "1s"}}},
		{"an attribute called like a part of every record stays apart from it",
			func(l *slog.Logger) { l.Info("probe", "message", "no route", "error", errors.New("refused")) },
			entry{`probe message="no route" error=refused`, journal.PriInfo, map[string]string{"VIPD_MESSAGE": "no route", "VIPD_ERROR": "refused"}}},
		{"a long name is cut to what the journal takes",
			func(l *slog.Logger) { l.Info("x", strings.Repeat("k", 80), 1) },
			entry{"x " + strings.Repeat("k", 80) + "=1", journal.PriInfo, map[string]string{"VIPD_" + strings.Repeat("K", 59): "1"}}},
		{"a bare message stays bare", func(l *slog.Logger) { l.Info("ready") }, entry{"ready", journal.PriInfo, map[string]string{}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			var got entry
			row.log(slog.New(newJournal(slog.LevelDebug, func(message string, p journal.Priority, fields map[string]string) error {
				got = entry{message, p, fields}
				return nil
			})))
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTheLevelMayChange(t *testing.T) {
	level := &slog.LevelVar{}
	h := newJournal(level, nil)
	if h.Enabled(t.Context(), slog.LevelDebug) {
		t.Error("debug is logged at info")
	}
	level.Set(slog.LevelDebug)
	if !h.WithAttrs([]slog.Attr{slog.Int("n", 1)}).Enabled(t.Context(), slog.LevelDebug) {
		t.Error("debug is not logged at debug")
	}
}

func TestALostEntryIsAnError(t *testing.T) {
	gone := errors.New("journald is gone")
	h := newJournal(slog.LevelInfo, func(string, journal.Priority, map[string]string) error { return gone })
	if err := h.Handle(t.Context(), slog.Record{}); !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
}
