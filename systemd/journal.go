package systemd

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"strings"
	"sync"

	"github.com/coreos/go-systemd/v22/journal"
)

// fieldPrefix keeps attributes apart from the journal's own fields
// (systemd.journal-fields(7)): the attribute "vip" becomes VIPD_VIP.
const fieldPrefix = "VIPD_"

// ErrorsGoToJournal tells whether standard error is the journal's, as that of a
// service is.
func ErrorsGoToJournal() bool {
	yes, err := journal.StderrIsJournalStream()
	return err == nil && yes
}

// Journal is a slog.Handler that sends records to journald with each attribute
// as a field of its own. The message shows the attributes too, because that is
// what journalctl prints; time and level are the journal's business.
type Journal struct {
	level  slog.Leveler
	send   func(message string, priority journal.Priority, fields map[string]string) error
	text   slog.Handler
	lines  *lines
	group  string
	fields map[string]string
}

// lines is what the text handler writes to, a line at a time.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// NewJournal returns a handler for records of at least this level. A call of
// Handle may wait for journald.
func NewJournal(level slog.Leveler) *Journal {
	return newJournal(level, journal.Send)
}

func newJournal(level slog.Leveler, send func(string, journal.Priority, map[string]string) error) *Journal {
	out := &lines{}
	text := slog.NewTextHandler(&out.buf, &slog.HandlerOptions{Level: level, ReplaceAttr: attributesOnly})
	return &Journal{level: level, send: send, text: text, lines: out}
}

// attributesOnly takes what every record has out of a line.
func attributesOnly(groups []string, a slog.Attr) slog.Attr {
	builtIn := a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == slog.MessageKey
	if builtIn && len(groups) == 0 {
		return slog.Attr{}
	}
	return a
}

// Enabled implements slog.Handler.
func (j *Journal) Enabled(_ context.Context, level slog.Level) bool { return level >= j.level.Level() }

// Handle implements slog.Handler.
func (j *Journal) Handle(ctx context.Context, r slog.Record) error {
	message, err := j.message(ctx, r)
	if err != nil {
		return err
	}
	fields := maps.Clone(j.fields)
	if fields == nil {
		fields = map[string]string{}
	}
	r.Attrs(func(a slog.Attr) bool { collect(fields, j.group, a); return true })
	return j.send(message, priority(r.Level), fields)
}

func (j *Journal) message(ctx context.Context, r slog.Record) (string, error) {
	j.lines.mu.Lock()
	defer j.lines.mu.Unlock()
	j.lines.buf.Reset()
	err := j.text.Handle(ctx, r)
	return strings.TrimSpace(r.Message + " " + j.lines.buf.String()), err
}

// WithAttrs implements slog.Handler.
func (j *Journal) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *j
	next.text = j.text.WithAttrs(attrs)
	next.fields = map[string]string{}
	maps.Copy(next.fields, j.fields)
	for _, a := range attrs {
		collect(next.fields, j.group, a)
	}
	return &next
}

// WithGroup implements slog.Handler.
func (j *Journal) WithGroup(name string) slog.Handler {
	if name == "" {
		return j
	}
	next := *j
	next.text = j.text.WithGroup(name)
	next.group += name + "_"
	return &next
}

// collect adds an attribute to fields, a group's members one by one.
func collect(fields map[string]string, group string, a slog.Attr) {
	value := a.Value.Resolve()
	if value.Kind() == slog.KindGroup {
		if a.Key != "" {
			group += a.Key + "_"
		}
		for _, member := range value.Group() {
			collect(fields, group, member)
		}
		return
	}
	if a.Key != "" {
		fields[fieldName(group+a.Key)] = value.String()
	}
}

// fieldName makes a name that the journal takes: capitals, digits and
// underscores, at most 64 (systemd.journal-fields(7)).
func fieldName(key string) string {
	const longest = 64
	name := fieldPrefix + strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		case 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
			return r
		}
		return '_'
	}, key)
	return name[:min(len(name), longest)]
}

// priority is syslog(3)'s word for a level.
func priority(level slog.Level) journal.Priority {
	switch {
	case level >= slog.LevelError:
		return journal.PriErr
	case level >= slog.LevelWarn:
		return journal.PriWarning
	case level >= slog.LevelInfo:
		return journal.PriInfo
	}
	return journal.PriDebug
}
