package demo

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/measure"
)

// page is what a person reads. Failures to write are not told: the demo's
// exit code stands for itself.
type page struct {
	w      io.Writer
	colour bool
}

// Styles, as terminals know them (ECMA-48 SGR).
const (
	bold  = "1"
	dim   = "2"
	green = "32"
	red   = "31"
	cyan  = "36"
)

func (p *page) style(code, text string) string {
	if !p.colour || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (p *page) line(format string, args ...any) {
	fmt.Fprintln(p.w, strings.TrimRight(fmt.Sprintf(format, args...), " "))
}

// event is a line of a timeline.
type event struct {
	at             time.Time
	who, what      string
	reason, detail string
}

// opening is the first picture.
type opening struct {
	daemon      string
	vip         netip.AddrPort
	hosts       []*lab.Host
	client      *lab.Host
	owner       *lab.Host
	began       time.Time
	took        time.Duration
	transitions []event
}

func (p *page) opening(o opening) {
	p.line("")
	p.line("  %s  %s", p.style(bold, o.vip.String()), p.style(dim, "held by "+o.daemon))
	p.line("")
	left := fmt.Sprintf("%s %s ───", o.client, o.client.Addr4)
	for i, h := range o.hosts {
		mark := ""
		if h == o.owner {
			mark = p.style(green, "◀ owner")
		}
		p.line("  %s%s─ %-4s %-12s %s", left, junction(i, len(o.hosts)), h, h.Addr4, mark)
		left = strings.Repeat(" ", utf8.RuneCountInString(left))
	}
	p.line("")
	p.line("  Set up in %s. The client opens a new connection each 2 ms and watches 6 streams.", milliseconds(o.took))
	p.timeline(o.began, o.transitions)
}

// junction is how branch i of n leaves a vertical line that begins at the first.
func junction(i, n int) string {
	switch {
	case n == 1:
		return "─"
	case i == 0:
		return "┬"
	case i == n-1:
		return "└"
	}
	return "├"
}

func (p *page) heading(number int, title, why string) {
	p.line("")
	p.line("  %s  %s", p.style(bold, fmt.Sprintf("%d  %-32s", number, title)), p.style(dim, why))
}

func (p *page) back(title string) {
	p.line("     %s", p.style(bold, title))
}

// timeline prints events with their distance from a time.
func (p *page) timeline(from time.Time, events []event) {
	for _, e := range events {
		p.line("     %s  %-4s %-22s %s %s", p.style(dim, fmt.Sprintf("%9s", "+"+milliseconds(e.at.Sub(from)))), e.who, e.what,
			p.style(cyan, fmt.Sprintf("%-16s", e.reason)), p.style(dim, e.detail))
	}
}

// client prints what the client saw.
func (p *page) client(r measure.Report) {
	p.line("     %9s  %s", "client", sight(r))
}

// sight is a report in a sentence.
func sight(r measure.Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d requests, %d failed", r.Requests, r.Failed)
	if r.Failed > 0 {
		fmt.Fprintf(&b, " (%s), outage %s", counts(r.Errors), milliseconds(r.Outage))
	}
	fmt.Fprintf(&b, "; half within %s, 99 %% within %s", milliseconds(r.P50), milliseconds(r.P99))
	fmt.Fprintf(&b, "; %d of %d streams broke", r.Broken, r.Streams)
	return b.String()
}

// counts lists words by their numbers: "timeout 12, refused 3".
func counts(m map[string]int) string {
	words := slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		return cmp.Or(cmp.Compare(m[b], m[a]), cmp.Compare(a, b))
	})
	parts := make([]string, 0, len(words))
	for _, w := range words {
		parts = append(parts, fmt.Sprintf("%s %d", w, m[w]))
	}
	return strings.Join(parts, ", ")
}

func (p *page) verdict(v verdict) {
	if v.kept {
		p.line("     %s", p.style(green, "✓ "+v.text))
		return
	}
	p.line("     %s", p.style(red, "✗ "+v.text))
}

func (p *page) ending(all measure.Report, took time.Duration) {
	p.line("")
	p.line("  %s", p.style(bold, fmt.Sprintf("All in all, in %.0f s", took.Seconds())))
	p.line("     %9s  %d requests, %d failed; answers: %s", "client", all.Requests, all.Failed, counts(all.Nodes))
}

// milliseconds prints a duration for people: with a decimal below 10 ms.
func milliseconds(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	if ms < 10 {
		return fmt.Sprintf("%.1f ms", ms)
	}
	return fmt.Sprintf("%.0f ms", ms)
}
