package process

import (
	"net/netip"
	"regexp"
	"strings"
)

// lastWords follows what a speaker prints, and knows what it died of.
type lastWords struct {
	// cause is the line that says why, empty unless it panicked.
	cause string
	// neighbor is whose messages it was working on.
	neighbor netip.Addr
	// found: the goroutine that failed was there, somebody's or nobody's.
	found bool
}

// label is how a traceback shows the label of a goroutine that a session began
// (GODEBUG=tracebacklabels=1, Go 1.26).
var label = regexp.MustCompile(`^goroutine .*\[.*labels:\{.*"neighbor": "([^"]+)"`)

// hear takes a line, and tells whether it belongs to a traceback. The goroutine
// that failed comes first; those after it did nothing.
func (w *lastWords) hear(line string) (traceback bool) {
	switch {
	case w.cause == "" && (strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ")):
		w.cause = line
	case w.cause == "":
		return false
	case !w.found && strings.HasPrefix(line, "goroutine "):
		w.found = true
		if m := label.FindStringSubmatch(line); m != nil {
			w.neighbor, _ = netip.ParseAddr(m[1]) // what is no address is nobody's
		}
	}
	return true
}
