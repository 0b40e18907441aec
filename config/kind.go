package config

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// kind is how a single value stands in the file. What parse refuses it says as
// an operator should read it after the key: the value, what is wrong with it,
// what to write.
type kind[V any] struct {
	parse  func(text string) (V, error)
	format func(V) string
	// tag is the YAML type it is written as.
	tag string
}

// node is v as it is written.
func (k kind[V]) node(v V) *yaml.Node {
	if k.tag == "!!str" {
		return textNode(k.format(v))
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: k.tag, Value: k.format(v)}
}

// textNode is text as YAML. Other than printable text is written in double
// quotes, the only style that keeps it to the letter.
func textNode(text string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
	if !printable(text) {
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}

// text is a kind of string that check accepts as it is written.
func text(check func(string) error) kind[string] {
	return kind[string]{
		parse:  func(s string) (string, error) { return s, check(s) },
		format: func(s string) string { return s },
		tag:    "!!str",
	}
}

// either accepts the empty string, which stands for "none" or "the default",
// and what check accepts.
func either(check func(string) error) func(string) error {
	return func(s string) error {
		if s == "" {
			return nil
		}
		return check(s)
	}
}

// truth is true or false.
func truth() kind[bool] {
	return kind[bool]{
		parse: func(s string) (bool, error) {
			switch s {
			case "true":
				return true, nil
			case "false":
				return false, nil
			}
			return false, fmt.Errorf("%s is neither true nor false", quote(s))
		},
		format: strconv.FormatBool,
		tag:    "!!bool",
	}
}

// number is a whole number from low to high.
func number[V ~int | ~uint8 | ~uint16 | ~uint32](low, high int) kind[V] {
	return kind[V]{
		parse: func(s string) (V, error) {
			n, err := decimal(s, low, high)
			return V(n), err
		},
		format: func(v V) string { return strconv.Itoa(int(v)) },
		tag:    "!!int",
	}
}

// refine gives better words to some values of a kind: those that say refuses.
func refine[V any](k kind[V], say func(text string) error) kind[V] {
	parse := k.parse
	k.parse = func(text string) (V, error) {
		if err := say(text); err != nil {
			var none V
			return none, err
		}
		return parse(text)
	}
	return k
}

// decimal is a whole number from low to high. A leading zero is refused: YAML
// 1.1 reads it as octal, people do not.
func decimal(s string, low, high int) (int, error) {
	within := fmt.Sprintf("use %d to %d", low, high)
	if low == high {
		within = fmt.Sprintf("use %d", low)
	}
	n, err := strconv.Atoi(s)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, fmt.Errorf("%s is out of range; %s", quote(s), within)
	case err != nil || strings.HasPrefix(s, "+"):
		return 0, fmt.Errorf("%s is no whole number; %s", quote(s), within)
	case strconv.Itoa(n) != s:
		return 0, fmt.Errorf("%s has a leading zero; write %d", quote(s), n)
	case n < low || n > high:
		return 0, fmt.Errorf("%d is out of range; %s", n, within)
	}
	return n, nil
}

// choice is one of a few words.
func choice[V ~string](words []V) kind[V] {
	return kind[V]{
		parse: func(s string) (V, error) {
			if slices.Contains(words, V(s)) {
				return V(s), nil
			}
			return "", fmt.Errorf("%s is unknown; use %s", quote(s), orList(words))
		},
		format: func(v V) string { return string(v) },
		tag:    "!!str",
	}
}

// orList is words as people list them: a, b or c.
func orList[V ~string](words []V) string {
	var b strings.Builder
	for i, w := range words {
		switch {
		case i > 0 && i == len(words)-1:
			b.WriteString(" or ")
		case i > 0:
			b.WriteString(", ")
		}
		b.WriteString(string(w))
	}
	return b.String()
}

// logLevel is a level of slog by its word.
func logLevel() kind[slog.Level] {
	words := choice([]string{"debug", "info", "warn", "error"})
	return kind[slog.Level]{
		parse: func(s string) (slog.Level, error) {
			word, err := words.parse(s)
			if err != nil {
				return 0, err
			}
			var l slog.Level
			return l, l.UnmarshalText([]byte(word))
		},
		format: func(l slog.Level) string { return strings.ToLower(l.String()) },
		tag:    "!!str",
	}
}
