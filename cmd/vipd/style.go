package main

import "strings"

// style paints text for terminals that want colour.
type style struct{ colour bool }

func (s style) paint(code, text string) string {
	if !s.colour || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (s style) bold(text string) string   { return s.paint("1", text) }
func (s style) faint(text string) string  { return s.paint("2", text) }
func (s style) good(text string) string   { return s.paint("1;32", text) }
func (s style) notice(text string) string { return s.paint("1;33", text) }
func (s style) bad(text string) string    { return s.paint("1;31", text) }
func (s style) plain(text string) string  { return text }

// wrap breaks text between words into lines of at most width columns. A word
// that is longer stays whole.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case len([]rune(line))+1+len([]rune(word)) <= width:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	return append(lines, line)
}
