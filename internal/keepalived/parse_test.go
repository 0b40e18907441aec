package keepalived

import (
	"errors"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// at is a statement of the file f.
func at(line int, words string, block ...Statement) Statement {
	return Statement{File: "f", Line: line, Words: strings.Split(words, "|"), Block: block}
}

func TestParse(t *testing.T) {
	tests := []struct {
		name, text string
		want       []Statement
	}{
		{"nothing", "", nil},
		{"comments of both kinds, also behind a statement", "! a\n# b\nstate MASTER # c\npriority 100! d", []Statement{at(3, "state|MASTER"), at(4, "priority|100")}},
		{"quotes keep words, spaces and comment signs together", `auth_pass "a b#!{}" 'c "d'`, []Statement{at(1, `auth_pass|a b#!{}|c "d`)}},
		{"quotes inside a word join it", `script ab"c d"e`, []Statement{at(1, `script|abc de`)}},
		{"a backslash takes a character as it is", `auth_pass a\"b\\\#\ c`, []Statement{at(1, `auth_pass|a"b\# c`)}},
		{"single quotes inside double ones are left for the script", `script "/x 'a b'"`, []Statement{at(1, `script|/x 'a b'`)}},
		{"a block", "a b {\n c\n}\nd", []Statement{at(1, "a|b", at(2, "c")), at(4, "d")}},
		{"a block that begins on the next line", "a\n\n{\nc\n}", []Statement{at(1, "a", at(4, "c"))}},
		{"a block on one line", "a { b c } d", []Statement{at(1, "a", at(1, "b|c")), at(1, "d")}},
		{"braces that touch words", "a{\nb}", []Statement{at(1, "a", at(2, "b"))}},
		{"nested blocks", "a {\n b {\n  c\n }\n d\n}", []Statement{at(1, "a", at(2, "b", at(3, "c")), at(5, "d"))}},
		{"an empty block", "a {\n}", []Statement{at(1, "a")}},
		{"line ends of Windows", "a b\r\nc\r\n", []Statement{at(1, "a|b"), at(2, "c")}},
		{"a dollar in a password or a script is text", "auth_pass a$b\nscript \"echo $HOME ${PATH}\"", []Statement{at(1, "auth_pass|a$b"), at(2, "script|echo $HOME ${PATH}")}},
		{"a dollar before a digit is text", "x $1", []Statement{at(1, "x|$1")}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := Parse(File{"f", []byte(test.text)}, nothing)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
}

func TestParseSaysWhereAFileIsWrong(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"a block that is open", "a\nb {\nc {\n}", "f:2: the block of b is not closed"},
		{"a brace too many", "a\n}", "f:2: '}' without '{'"},
		{"a block of nothing", "{\n}", "f:1: a block begins without a keyword"},
		{"a second block of one statement", "a {\n}\n{\n}", "f:3: a block begins without a keyword"},
		{"an open quote", "a \"b\n", "f:1: a quote is not closed"},
		{"an escape that goes on", `a \x41`, `f:1: the escape \x is not understood`},
		{"a parameter that is defined", "a\n$VIP=192.0.2.10", "f:2: parameters such as $VIP are not replaced"},
		{"a parameter that is used", "priority $PRIO", "f:1: parameters such as $PRIO are not replaced"},
		{"a parameter in braces", "virtual_ipaddress {\n 10.0.${NET}.1\n}", "f:2: parameters such as $NET are not replaced"},
		{"a line for some hosts", "a {\n @main priority 200\n}", "f:2: a line that begins with @"},
		{"a line that is repeated", "~SEQ(X, 1, 3) a", "f:1: a line that begins with ~"},
		{"blocks too deep", strings.Repeat("a {\n", 40), "f:33: blocks are nested too deep"},
		{"a file without end", strings.Repeat("\n", maxLines+1), "f:200001: the configuration has more than 200000 lines"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Parse(File{"f", []byte(test.text)}, nothing)
			if problem, ok := errors.AsType[*Problem](err); !ok || !strings.HasPrefix(problem.Error(), test.want) {
				t.Errorf("%v, want %s", err, test.want)
			}
		})
	}
}

func TestIncludes(t *testing.T) {
	files := map[string]string{
		"/k/conf.d/a.conf": "a1\na2 {\n",
		"/k/conf.d/b.conf": "b1\n}\n",
		"/k/loop.conf":     "include loop.conf",
	}
	// Relative to the file that includes, in the order of names.
	source := func(from, pattern string) ([]File, error) {
		if !path.IsAbs(pattern) {
			pattern = path.Join(path.Dir(from), pattern)
		}
		var found []File
		for _, name := range []string{"/k/conf.d/a.conf", "/k/conf.d/b.conf", "/k/loop.conf"} {
			if ok, err := path.Match(pattern, name); err != nil || ok {
				found = append(found, File{name, []byte(files[name])})
			}
		}
		if pattern == "/k/gone" {
			return nil, errors.New("no such file")
		}
		return found, nil
	}
	in := func(file string, line int, word string, block ...Statement) Statement {
		return Statement{File: file, Line: line, Words: []string{word}, Block: block}
	}
	got, err := Parse(File{"/k/keepalived.conf", []byte("x\nincludea conf.d/*.conf\ny\ninclude none*\n")}, source)
	if err != nil {
		t.Fatal(err)
	}
	want := []Statement{
		in("/k/keepalived.conf", 1, "x"), in("/k/conf.d/a.conf", 1, "a1"),
		in("/k/conf.d/a.conf", 2, "a2", in("/k/conf.d/b.conf", 1, "b1")), in("/k/keepalived.conf", 3, "y"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
	for text, want := range map[string]string{
		"\ninclude gone":    "/k/keepalived.conf:2: include gone: no such file",
		"include loop.conf": "/k/loop.conf:1: includes are nested too deep",
	} {
		if _, err := Parse(File{"/k/keepalived.conf", []byte(text)}, source); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}
