package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vipd/vipd/internal/keepalived"
)

func newImportCommand(g *globals) *cobra.Command {
	var apart bool
	command := &cobra.Command{
		Use:   "import keepalived FILE",
		Short: "Print a configuration made from keepalived.conf",
		Long: "Print a configuration made from a keepalived.conf and the files that it includes. What was\n" +
			"not translated, and what should be known of the rest, goes to standard error with file and\n" +
			"line. docs/migration.md has the steps from keepalived to vipd.",
		Args: importArguments,
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 0 {
				return []string{"keepalived"}, cobra.ShellCompDirectiveNoFileComp
			}
			return nil, cobra.ShellCompDirectiveDefault
		},
		RunE: func(_ *cobra.Command, args []string) error {
			return g.importKeepalived(args[1], keepalived.Options{Apart: apart})
		},
	}
	command.Flags().BoolVar(&apart, "apart", false, "keep the instances of a sync group apart, while keepalived runs on other nodes")
	return command
}

func importArguments(_ *cobra.Command, args []string) error {
	switch {
	case len(args) == 0 || args[0] != "keepalived":
		return errors.New("say from what to import, and the file: vipd import keepalived /etc/keepalived/keepalived.conf")
	case len(args) != 2:
		return fmt.Errorf("give one file; got %d", len(args)-1)
	}
	return nil
}

func (g *globals) importKeepalived(path string, o keepalived.Options) error {
	text, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return fmt.Errorf("read keepalived's configuration: %w", err)
	}
	statements, err := keepalived.Parse(keepalived.File{Name: path, Text: text}, included)
	if err != nil {
		return err
	}
	translation, err := keepalived.Translate(statements, o)
	if problem, ok := errors.AsType[*keepalived.Problem](err); ok {
		return problem
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, note := range translation.Notes {
		fmt.Fprintln(g.stderr, note.String()+".")
	}
	_, err = g.stdout.Write(translation.YAML)
	return err
}

// included reads the files that an include names, as keepalived does: relative
// to the file that includes them. A name without wildcards has to exist.
func included(from, pattern string) ([]keepalived.File, error) {
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(filepath.Dir(from), pattern)
	}
	names, err := filepath.Glob(pattern)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 && !strings.ContainsAny(pattern, "*?[") {
		return nil, fs.ErrNotExist
	}
	files := make([]keepalived.File, 0, len(names))
	for _, name := range names {
		if info, err := os.Stat(name); err == nil && info.IsDir() {
			continue
		}
		text, err := os.ReadFile(name) //nolint:gosec // keepalived reads it, too
		if err != nil {
			return nil, err
		}
		files = append(files, keepalived.File{Name: name, Text: text})
	}
	return files, nil
}
