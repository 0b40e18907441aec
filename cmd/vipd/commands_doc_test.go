package main

import (
	"io"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vipd/vipd/agent"
)

// section is what docs/commands.md says of one command, and what the command
// says of itself.
type section struct {
	// Flags are the command's own flags, sorted.
	Flags []string
	// Exits is the line of exit codes.
	Exits string
}

func TestDocumentAndCommandsAgree(t *testing.T) {
	data, err := os.ReadFile("../../docs/commands.md")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(commands(), documented(string(data))); diff != "" {
		t.Errorf("docs/commands.md (-code +document):\n%s", diff)
	}
}

// The samples of the document are what the command prints.
func TestDocumentedStatusIsWhatIsPrinted(t *testing.T) {
	document, err := os.ReadFile("../../docs/commands.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"status-sample", "status-sample-routed"} {
		page, err := os.ReadFile("testdata/" + name + ".golden")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(document), "```text\n"+string(page)+"```\n") {
			t.Errorf("docs/commands.md does not show testdata/%s.golden:\n%s", name, page)
		}
	}
}

// The document explains each field of the status, and no other.
func TestDocumentAndStatusAgree(t *testing.T) {
	document, err := os.ReadFile("../../docs/commands.md")
	if err != nil {
		t.Fatal(err)
	}
	_, reference, ok := strings.Cut(string(document), "\n### The status\n")
	if !ok {
		t.Fatal(`docs/commands.md has no "### The status"`)
	}
	reference, _, _ = strings.Cut(reference, "\n## ")
	got := []string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| [^|]+ \\|$").FindAllStringSubmatch(reference, -1) {
		got = append(got, row[1])
	}
	if diff := cmp.Diff(fields(reflect.TypeFor[agent.Status](), ""), got); diff != "" {
		t.Errorf("docs/commands.md (-code +document):\n%s", diff)
	}
}

// fields are the keys of a type in JSON, in its order, as in `vips[].name`.
func fields(of reflect.Type, at string) []string {
	var all []string
	for field := range of.Fields() {
		key, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if key == "-" {
			continue
		}
		all = append(all, inside(field.Type, at+key)...)
	}
	return all
}

// inside is a key itself, or those of the document that it leads to.
func inside(of reflect.Type, at string) []string {
	switch {
	case of.Kind() == reflect.Pointer:
		return inside(of.Elem(), at)
	case of.Kind() == reflect.Slice && of.Elem().Kind() == reflect.Struct && of.Elem().PkgPath() == reflect.TypeFor[agent.Status]().PkgPath():
		return fields(of.Elem(), at+"[].")
	case of.Kind() == reflect.Struct && of.PkgPath() == reflect.TypeFor[agent.Status]().PkgPath():
		return fields(of, at+".")
	}
	return []string{at}
}

// commands is what cobra knows. Shells are arguments of completion as far as
// its users are concerned.
func commands() map[string]section {
	root := newRootCommand(newGlobals(io.Discard, io.Discard))
	all := map[string]section{"vipd": {Flags: flags(root.PersistentFlags())}}
	for _, c := range root.Commands() {
		all[c.CommandPath()] = section{Flags: flags(c.LocalNonPersistentFlags()), Exits: exitLine(c)}
	}
	return all
}

func flags(set *pflag.FlagSet) []string {
	names := []string{}
	set.VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" {
			names = append(names, "--"+f.Name)
		}
	})
	slices.Sort(names)
	return names
}

func exitLine(c *cobra.Command) string {
	_, codes, _ := strings.Cut(c.Long, "\n\nExit codes: ")
	return codes
}

// documented reads "## vipd status" sections, the flags from lines that begin
// with "- `--flag", and the line that begins with "Exit codes: ".
func documented(text string) map[string]section {
	flag := regexp.MustCompile("(?m)^- `(--[a-z-]+)")
	codes := regexp.MustCompile(`(?m)^Exit codes: (.*)$`)
	all := map[string]section{}
	for _, part := range strings.Split(text, "\n## ")[1:] {
		heading, body, _ := strings.Cut(part, "\n")
		name := strings.Trim(heading, "`")
		if name != "vipd" && !strings.HasPrefix(name, "vipd ") {
			continue
		}
		s := section{Flags: []string{}}
		for _, match := range flag.FindAllStringSubmatch(body, -1) {
			s.Flags = append(s.Flags, match[1])
		}
		slices.Sort(s.Flags)
		if match := codes.FindStringSubmatch(body); match != nil {
			s.Exits = match[1]
		}
		all[name] = s
	}
	return all
}
