//go:build manpages

// With the build tag manpages this program writes the manual pages of vipd's
// commands into a directory: go run -tags manpages ./cmd/vipd DIR
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra/doc"
)

func main() {
	if err := writeManPages(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "write manual pages:", err)
		os.Exit(int(exitFailed))
	}
}

func writeManPages(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("want one argument, a directory; got %q", args)
	}
	root := newRootCommand(newGlobals(os.Stdout, os.Stderr))
	root.DisableAutoGenTag = true // it bears the day of the build
	header := &doc.GenManHeader{Section: "8", Source: "vipd " + version(), Manual: "System administration"}
	return doc.GenManTree(root, header, args[0])
}
