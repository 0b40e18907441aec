package config

import (
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing wrong in a configuration. It is an error of one line.
type Problem struct {
	// File is the name given to Parse; empty when the problem is not one of a
	// file, or the caller knows which.
	File string
	// Line counts from 1; 0: unknown.
	Line int
	// Key is the path of the key, such as vips[1].vrrp.priority; empty when
	// the problem is the file's.
	Key string
	// Text says what is wrong and what to write instead.
	Text string
}

// Error is the problem as file:line: key: text, without what is not known.
func (p Problem) Error() string {
	var b strings.Builder
	switch {
	case p.File != "" && p.Line > 0:
		fmt.Fprintf(&b, "%s:%d: ", p.File, p.Line)
	case p.File != "":
		b.WriteString(p.File + ": ")
	case p.Line > 0:
		fmt.Fprintf(&b, "line %d: ", p.Line)
	}
	if p.Key != "" {
		b.WriteString(p.Key)
		b.WriteString(": ")
	}
	b.WriteString(p.Text)
	return b.String()
}

// Problems are all problems of one configuration, in the order of its lines.
// It is never empty when it is returned as an error.
type Problems []Problem

// Error is one problem a line.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.As find a single Problem.
func (ps Problems) Unwrap() []error {
	errs := make([]error, len(ps))
	for i, p := range ps {
		errs[i] = p
	}
	return errs
}

// findings collects problems while a configuration is read and checked. It
// knows where each key stands, so that a check needs only the key.
type findings struct {
	file  string
	lines map[string]int
	// bad holds the keys whose value could not be used. What is checked later
	// at or below them would only repeat the first problem in other words.
	bad map[string]bool
	// words holds the elements of lists of peers that are the word etcd.
	words map[string]bool
	found Problems
}

func newFindings(file string) *findings {
	return &findings{file: file, lines: map[string]int{}, bad: map[string]bool{}, words: map[string]bool{}}
}

// maxProblems is how many problems are collected: who has more has most likely
// given the wrong file.
const maxProblems = 100

// full reports whether looking for more problems is of no use.
func (f *findings) full() bool { return len(f.found) >= maxProblems }

// add reports a problem of a key that is otherwise usable.
func (f *findings) add(key, format string, args ...any) {
	if f.faulty(key) {
		return
	}
	f.addAt(f.line(key), key, format, args...)
}

// reject reports a problem of a key whose value cannot be used.
func (f *findings) reject(key, format string, args ...any) {
	f.add(key, format, args...)
	f.bad[key] = true
}

// addAt reports a problem at a line known to the caller.
func (f *findings) addAt(line int, key, format string, args ...any) {
	if f.full() {
		return
	}
	f.found = append(f.found, Problem{File: f.file, Line: line, Key: key, Text: fmt.Sprintf(format, args...)})
}

// faulty reports whether key, or what it stands in, was rejected.
func (f *findings) faulty(key string) bool {
	for ; key != ""; key = parent(key) {
		if f.bad[key] {
			return true
		}
	}
	return false
}

// written reports whether the file has the key.
func (f *findings) written(key string) bool {
	_, ok := f.lines[key]
	return ok
}

// line is where key stands, or else what it would stand in; 0 if neither is
// known.
func (f *findings) line(key string) int {
	for ; key != ""; key = parent(key) {
		if line, ok := f.lines[key]; ok {
			return line
		}
	}
	return 0
}

// err is the problems in the order of their lines, nil if there are none. A
// full list says at its end that it may not be all.
func (f *findings) err() error {
	if len(f.found) == 0 {
		return nil
	}
	slices.SortStableFunc(f.found, func(a, b Problem) int { return a.Line - b.Line })
	if f.full() {
		last := f.found[len(f.found)-1]
		return append(f.found, Problem{File: f.file, Line: last.Line, Text: "there may be more problems than these"})
	}
	return f.found
}

// member is the path of the key name inside the section at.
func member(at, name string) string {
	if at == "" {
		return name
	}
	return at + "." + name
}

// element is the path of the i-th element of the list at.
func element(at string, i int) string {
	return fmt.Sprintf("%s[%d]", at, i)
}

// parent is the path of what key stands in; empty for a key of the file.
func parent(key string) string {
	return key[:max(strings.LastIndexAny(key, ".["), 0)]
}
