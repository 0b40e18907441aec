package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// maxSize bounds a configuration file, in bytes: hundreds of groups written
// out in full.
const maxSize = 1 << 20

// Parse reads and checks a configuration. The name stands in the problems as
// the file's name. The error is [Problems]: all that were found, each with its
// line. A node that is not named is named by the host name.
func Parse(name string, data []byte) (*Config, error) {
	f := newFindings(name)
	root := document(f, data)
	if root == nil || !shaped(f, "", root, yaml.MappingNode) {
		return nil, f.err()
	}
	c := defaultConfig()
	readKeys(f, "", root, configKeys(), &c)
	if f.full() {
		return nil, f.err()
	}
	derive(&c, f)
	check(&c, f)
	if err := f.err(); err != nil {
		return nil, err
	}
	return &c, nil
}

// document is the root node of the only YAML document in data. It returns nil
// after reporting why there is none.
func document(f *findings, data []byte) *yaml.Node {
	if len(data) > maxSize {
		f.addAt(0, "", "is larger than %d KiB; this is no configuration of vipd", maxSize>>10)
		return nil
	}
	if line, text := unreadable(data); text != "" {
		f.addAt(line, "", "%s", text)
		return nil
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var doc, next yaml.Node
	err := decoder.Decode(&doc)
	switch {
	case errors.Is(err, io.EOF), err == nil && doc.Content[0].Tag == "!!null":
		f.addAt(0, "", "is empty; the smallest configuration is one line: vips: [{addresses: [192.0.2.10]}]")
		return nil
	case err != nil:
		line, text := syntaxProblem(data, err)
		f.addAt(line, "", "%s", text)
		return nil
	}
	switch err := decoder.Decode(&next); {
	case err == nil:
		f.addAt(next.Line, "", "a second YAML document starts here; write one only")
		return nil
	case !errors.Is(err, io.EOF):
		line, text := syntaxProblem(data, err)
		f.addAt(line, "", "%s", text)
		return nil
	}
	return doc.Content[0]
}

// unreadable finds the first byte that no YAML file may hold; empty if there
// is none. The YAML library finds it too, but does not say where.
func unreadable(data []byte) (line int, text string) {
	line = 1
	for rest := data; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		switch {
		case r == utf8.RuneError && size == 1:
			return line, fmt.Sprintf("holds the byte 0x%02x, which is not UTF-8", rest[0])
		case r < ' ' && r != '\t' && r != '\n' && r != '\r', r == 0x7f:
			return line, fmt.Sprintf("holds the control character 0x%02x", r)
		case r == '\n':
			line++
		}
		rest = rest[size:]
	}
	return 0, ""
}

// syntaxProblem puts an error of the YAML library, `yaml: line N: text`, into
// words and onto the line an operator has to look at; line 0: unknown.
func syntaxProblem(data []byte, err error) (line int, text string) {
	if line := tabIndented(data); line > 0 {
		return line, "is indented with a tab; YAML indents with spaces"
	}
	text = strings.TrimPrefix(err.Error(), "yaml: ")
	// The library gives no line for an error on the first one.
	line = 1
	if number, rest, ok := strings.Cut(strings.TrimPrefix(text, "line "), ": "); ok {
		if n, err := strconv.Atoi(number); err == nil {
			line, text = n, rest
		}
	}
	if strings.HasPrefix(text, "did not find expected") {
		// These come from its parser, which counts lines from 0 and gives
		// either the place or the start of the list or mapping around it.
		if strings.HasPrefix(err.Error(), "yaml: line ") {
			line++
		}
		return min(line, bytes.Count(bytes.TrimRight(data, "\n"), []byte("\n"))+1), "not valid YAML, here or in what starts here: " + text
	}
	return line, "not valid YAML: " + text
}

// tabIndented is the first line whose indentation holds a tab, 0 if none does.
func tabIndented(data []byte) int {
	line := 0
	for text := range bytes.Lines(data) {
		line++
		content := bytes.TrimLeft(text, " \t")
		indent := text[:len(text)-len(content)]
		if len(bytes.TrimSpace(content)) > 0 && content[0] != '#' && bytes.IndexByte(indent, '\t') >= 0 {
			return line
		}
	}
	return 0
}
