package config

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// printable reports whether s can be shown in a line as it is.
func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// quote is s fit for a message of one line: as it is when it reads as a word.
func quote(s string) string {
	const enough = 64
	if len(s) > enough {
		return strconv.Quote(s[:enough]) + "..."
	}
	if s == "" || !printable(s) || strings.ContainsAny(s, " \"':,") && !isAddress(s) {
		return strconv.Quote(s)
	}
	return s
}
