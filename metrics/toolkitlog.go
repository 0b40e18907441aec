package metrics

import (
	"context"
	"log/slog"
)

// toolkitLog takes the exporter-toolkit's lines about listening and TLS down to
// debug: Server says the same in one line.
type toolkitLog struct{ slog.Handler }

// Handle passes on warnings and errors as they are.
func (h toolkitLog) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelWarn {
		r.Level = slog.LevelDebug
		if !h.Enabled(ctx, r.Level) {
			return nil
		}
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs keeps the wrapping.
func (h toolkitLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return toolkitLog{h.Handler.WithAttrs(attrs)}
}

// WithGroup keeps the wrapping.
func (h toolkitLog) WithGroup(name string) slog.Handler { return toolkitLog{h.Handler.WithGroup(name)} }
