package keepalived

import (
	"errors"
	"fmt"
	"strings"
)

// Statement is a keyword with its arguments, and with a block if braces follow.
type Statement struct {
	// File and Line are where it stands, from 1.
	File string
	Line int
	// Words are the keyword and its arguments, at least one.
	Words []string
	// Block is what stands between its braces.
	Block []Statement
}

// Keyword is the first word.
func (s Statement) Keyword() string { return s.Words[0] }

// File is a part of a configuration.
type File struct {
	Name string
	Text []byte
}

// Source gives the files that an include of one file names: the pattern as it
// is written, which may be relative to that file. No file is no error.
type Source func(from, pattern string) ([]File, error)

// Problem is why a file cannot be read as a whole.
type Problem struct {
	File string
	Line int
	Text string
}

func (p *Problem) Error() string { return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Text) }

const (
	// maxDepth bounds how deep includes and blocks are nested.
	maxDepth = 32
	// maxLines bounds a configuration with what it includes.
	maxLines = 200_000
)

// Parse reads a file and what it includes. The error is a [Problem], or one of
// the source.
func Parse(f File, source Source) ([]Statement, error) {
	p := &parser{source: source}
	if err := p.file(f, 0); err != nil {
		return nil, err
	}
	if n := len(p.blocks); n > 0 {
		at := p.blocks[n-1].statement
		return nil, &Problem{at.File, at.Line, "the block of " + at.Keyword() + " is not closed; add '}'"}
	}
	return p.top, nil
}

// parser builds statements while it reads lines, also of included files: an
// include may stand inside a block.
type parser struct {
	source Source
	lines  int
	top    []Statement
	// blocks are those that are open, the innermost last.
	blocks []block
	// header: the last statement may still get a block.
	header bool
}

type block struct {
	statement Statement
	inside    []Statement
}

func (p *parser) file(f File, depth int) error {
	if depth > maxDepth {
		return &Problem{f.Name, 1, "includes are nested too deep; a file includes itself"}
	}
	for i, text := range strings.Split(string(f.Text), "\n") {
		number := i + 1
		if p.lines++; p.lines > maxLines {
			return &Problem{f.Name, number, fmt.Sprintf("the configuration has more than %d lines", maxLines)}
		}
		if err := refuse(text); err != nil {
			return &Problem{f.Name, number, err.Error()}
		}
		tokens, err := scan(text, number)
		if err != nil {
			return &Problem{f.Name, number, err.Error()}
		}
		if isInclude(tokens) {
			if err := p.include(f.Name, number, tokens[1].text, depth); err != nil {
				return err
			}
			continue
		}
		if err := p.tokens(f.Name, tokens); err != nil {
			return err
		}
	}
	return nil
}

// refuse reports lines that mean something else on each host or each time, so
// that a translation of the file as it stands would be wrong.
func refuse(line string) error {
	switch text := strings.TrimLeft(line, " \t"); {
	case strings.HasPrefix(text, "$") && parameterIn(text[1:]) != "":
		return fmt.Errorf("parameters such as $%s are not replaced; write their values out and import again", parameterIn(text[1:]))
	case strings.HasPrefix(text, "@"):
		return errors.New("a line that begins with @ is for some hosts only; keep those for this host, without the @ and the name, and import again")
	case strings.HasPrefix(text, "~SEQ"), strings.HasPrefix(text, "~LST"):
		return errors.New("a line that begins with ~ is repeated by keepalived; write the repetitions out and import again")
	}
	return nil
}

func isInclude(tokens []token) bool {
	if len(tokens) < 2 || tokens[1].sign != word {
		return false
	}
	switch tokens[0].text {
	case "include", "includer", "includem", "includew", "includeb", "includea":
		return tokens[0].sign == word
	}
	return false
}

func (p *parser) include(name string, line int, pattern string, depth int) error {
	files, err := p.source(name, pattern)
	if err != nil {
		return &Problem{name, line, fmt.Sprintf("include %s: %v", pattern, err)}
	}
	p.header = false
	for _, f := range files {
		if err := p.file(f, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// tokens adds a line.
func (p *parser) tokens(file string, tokens []token) error {
	var words []string
	line := 0
	for _, t := range tokens {
		switch t.sign {
		case word:
			words, line = append(words, t.text), t.line
			continue
		case open:
			if len(words) > 0 {
				if err := p.add(file, line, words); err != nil {
					return err
				}
				words = nil
			}
			if err := p.open(file, t.line); err != nil {
				return err
			}
		case shut:
			if err := p.add(file, line, words); err != nil {
				return err
			}
			words = nil
			if err := p.shut(file, t.line); err != nil {
				return err
			}
		case newline:
			if err := p.add(file, line, words); err != nil {
				return err
			}
		}
	}
	return nil
}

// add appends a statement, of which there is none without words.
func (p *parser) add(file string, line int, words []string) error {
	if len(words) == 0 {
		return nil
	}
	// An undefined parameter is text, as any shell script has it.
	if key := words[0]; key != "script" && key != "auth_pass" && !strings.HasPrefix(key, "notify") {
		for _, w := range words {
			_, after, found := strings.Cut(w, "$")
			if name := parameterIn(after); found && name != "" {
				return &Problem{file, line, fmt.Sprintf("parameters such as $%s are not replaced; write the value out and import again", name)}
			}
		}
	}
	into := p.list()
	*into = append(*into, Statement{File: file, Line: line, Words: words})
	p.header = true
	return nil
}

// list is where the next statement goes.
func (p *parser) list() *[]Statement {
	if n := len(p.blocks); n > 0 {
		return &p.blocks[n-1].inside
	}
	return &p.top
}

// open begins the block of the last statement.
func (p *parser) open(file string, line int) error {
	into := p.list()
	switch {
	case !p.header || len(*into) == 0:
		return &Problem{file, line, "a block begins without a keyword"}
	case len(p.blocks) == maxDepth:
		return &Problem{file, line, "blocks are nested too deep"}
	}
	last := len(*into) - 1
	p.blocks = append(p.blocks, block{statement: (*into)[last]})
	p.header = false
	return nil
}

// shut ends the innermost block.
func (p *parser) shut(file string, line int) error {
	n := len(p.blocks)
	if n == 0 {
		return &Problem{file, line, "'}' without '{'"}
	}
	inside := p.blocks[n-1].inside
	p.blocks = p.blocks[:n-1]
	into := *p.list()
	into[len(into)-1].Block = inside
	p.header = false
	return nil
}
