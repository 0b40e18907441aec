package main

import (
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
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
