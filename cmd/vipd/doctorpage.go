package main

import (
	"fmt"
	"strings"

	"github.com/vipd/vipd/doctor"
)

// doctorPage is a report for people, in the width of standard output: what is
// worst comes first, and what is good is counted.
func (g *globals) doctorPage(r doctor.Report) string {
	p := page{width: widthOf(g.stdout), style: g.style(g.stdout)}
	for i, f := range r.Findings {
		if i > 0 {
			p.text.WriteString("\n")
		}
		p.finding(f)
	}
	skipped := p.omitted(r)
	if len(r.Findings) > 0 || skipped > 0 {
		p.text.WriteString("\n")
	}
	p.summary(r, skipped)
	return p.text.String()
}

func (p *page) finding(f doctor.Finding) {
	fmt.Fprintf(&p.text, "%s %s: %s\n", p.severity(f.Severity), p.style.bold(string(f.ID)), f.Subject)
	p.field("seen", f.Evidence, p.style.plain)
	p.field("mend", f.Fix, p.style.plain)
}

func (p *page) severity(s doctor.Severity) string {
	switch s {
	case doctor.Error:
		return p.style.bad("ERROR")
	case doctor.Warning:
		return p.style.notice("WARNING")
	case doctor.Info:
	}
	return p.style.bold("NOTE")
}

// omitted tells which checks, or parts of them, could not be made, by reason.
func (p *page) omitted(r doctor.Report) int {
	var reasons []string
	checks := map[string][]string{}
	omitted := 0
	for _, c := range r.Checks {
		if c.Result == doctor.Unneeded || len(c.Reasons) == 0 {
			continue
		}
		omitted++
		for _, why := range c.Reasons {
			if checks[why] == nil {
				reasons = append(reasons, why)
			}
			checks[why] = append(checks[why], c.ID)
		}
	}
	if omitted == 0 {
		return 0
	}
	if len(r.Findings) > 0 {
		p.text.WriteString("\n")
	}
	fmt.Fprintln(&p.text, p.style.notice("NOT MADE")+", or not in full")
	for _, why := range reasons {
		p.field("checks", strings.Join(checks[why], ", "), p.style.plain)
		p.field("because", why, p.style.plain)
	}
	return omitted
}

func (p *page) summary(r doctor.Report, skipped int) {
	made := 0
	for _, c := range r.Checks {
		if c.Result != doctor.Unneeded {
			made++
		}
	}
	parts := []string{
		count(r.Count(doctor.Error), "error"), count(r.Count(doctor.Warning), "warning"), count(r.Count(doctor.Info), "note"),
	}
	text := fmt.Sprintf("%s: %s", count(made, "check"), strings.Join(parts, ", "))
	if skipped > 0 {
		text += fmt.Sprintf("; %d not made in full", skipped)
	}
	paint := p.style.good
	switch {
	case r.Count(doctor.Error) > 0:
		paint = p.style.bad
	case r.Count(doctor.Warning) > 0 || skipped > 0:
		paint = p.style.notice
	}
	fmt.Fprintln(&p.text, paint(text))
	if len(r.Findings) > 0 {
		for _, line := range wrap("Each has a section in doctor.md (docs/ or /usr/share/doc/vipd/docs).", p.width) {
			fmt.Fprintln(&p.text, line)
		}
	}
}

// count is a number of things, in words: no errors, 1 error, 2 errors.
func count(n int, thing string) string {
	switch n {
	case 0:
		return "no " + thing + "s"
	case 1:
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
