package program

import (
	"context"
	"fmt"
	"strings"
	"unicode"
)

// Finish runs command to its end, as Start does. The error says why it did not
// end with status 0, with the first line of what it wrote. A process that does
// not even end by being killed is left behind.
func Finish(ctx context.Context, command []string, variables ...string) error {
	r, err := Start(ctx, command, variables...)
	if err != nil {
		return fmt.Errorf("%w; correct the command", err)
	}
	if !r.Gone(ctx) {
		reap, cancel := context.WithTimeout(context.WithoutCancel(ctx), ReapTime)
		defer cancel()
		if !r.Gone(reap) {
			return fmt.Errorf("process %d was killed but does not end; does it hang on a file system?", r.PID())
		}
	}
	killed, err := r.Result()
	switch {
	case killed:
		return fmt.Errorf("%s was killed: %w%s", command[0], context.Cause(ctx), printable(r.Said()))
	case err != nil:
		return fmt.Errorf("%s: %w%s", command[0], err, printable(r.Said()))
	}
	return nil
}

// printable is foreign text fit for a log line.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}
