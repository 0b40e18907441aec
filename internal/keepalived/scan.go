package keepalived

import (
	"errors"
	"fmt"
	"strings"
)

// sign is what a token of the file is.
type sign int

const (
	word sign = iota
	open
	shut
	newline
)

// token is the smallest part of a file.
type token struct {
	sign sign
	text string
	line int
}

var errQuote = errors.New("a quote is not closed on this line; add the other one")

// scan splits a line into tokens: words, which quotes keep together, and
// braces. A comment, from '!' or '#' to the end of the line, is left out
// (keepalived.conf(5), Quoted strings).
func scan(line string, number int) ([]token, error) {
	var tokens []token
	for rest := line; ; {
		rest = strings.TrimLeft(rest, " \t\r\v\f")
		if rest == "" || rest[0] == '#' || rest[0] == '!' {
			return append(tokens, token{sign: newline, line: number}), nil
		}
		if rest[0] == '{' || rest[0] == '}' {
			s := open
			if rest[0] == '}' {
				s = shut
			}
			tokens = append(tokens, token{sign: s, text: rest[:1], line: number})
			rest = rest[1:]
			continue
		}
		text, length, err := scanWord(rest, inFile())
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, token{sign: word, text: text, line: number})
		rest = rest[length:]
	}
}

// rules are what ends a text that quotes keep together, and whether a
// backslash means something.
type rules struct {
	ends    string
	escapes bool
}

// inFile are the rules for the words of a file, inScript those for the
// arguments of a script.
func inFile() rules   { return rules{ends: " \t\r\v\f#!{}", escapes: true} }
func inScript() rules { return rules{ends: " \t"} }

// scanWord is the word at the beginning of s, without its quotes, and its
// length with them. ${NAME} is a part of a word.
func scanWord(s string, r rules) (text string, length int, err error) {
	var b strings.Builder
	quote := byte(0)
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case r.escapes && c == '\\' && i+1 < len(s):
			i++
			c, ok := escaped(s[i])
			if !ok {
				return "", 0, fmt.Errorf(`the escape \%c is not understood; write the character itself, or leave the backslash out`, s[i])
			}
			b.WriteByte(c)
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case quote == 0 && strings.HasPrefix(s[i:], "${") && strings.Contains(s[i:], "}"):
			end := i + strings.IndexByte(s[i:], '}')
			b.WriteString(s[i : end+1])
			i = end
		case quote == 0 && strings.IndexByte(r.ends, c) >= 0:
			return b.String(), i, nil
		default:
			b.WriteByte(c)
		}
	}
	if quote != 0 {
		return "", 0, errQuote
	}
	return b.String(), len(s), nil
}

// escaped is the character that a backslash before c stands for; false for
// those that go on after c, as in \x41.
func escaped(c byte) (byte, bool) {
	if i := strings.IndexByte("abfnrtv", c); i >= 0 {
		return "\a\b\f\n\r\t\v"[i], true
	}
	return c, strings.IndexByte("01234567xcE", c) < 0
}

// parameterIn is the name of a parameter at the beginning of s, which is what
// follows '$'; empty if there is none.
func parameterIn(s string) string {
	s = strings.TrimPrefix(s, "{")
	for i, r := range s {
		if r != '_' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (i == 0 || r < '0' || r > '9') {
			return s[:i]
		}
	}
	return s
}

// arguments splits the text of a script into its arguments as keepalived does:
// at spaces that no quotes hold.
func arguments(text string) ([]string, error) {
	var all []string
	for rest := strings.TrimLeft(text, " \t"); rest != ""; rest = strings.TrimLeft(rest, " \t") {
		argument, length, err := scanWord(rest, inScript())
		if err != nil {
			return nil, fmt.Errorf("%q: %w", text, err)
		}
		all = append(all, argument)
		rest = rest[length:]
	}
	return all, nil
}
