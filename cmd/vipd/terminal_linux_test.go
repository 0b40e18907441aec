package main

import (
	"bytes"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestTerminal(t *testing.T) {
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminal here: %v", err)
	}
	defer terminal.Close()
	if err := unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: 132, Row: 40}); err != nil {
		t.Fatal(err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if !isTerminal(terminal) || isTerminal(null) || isTerminal(&bytes.Buffer{}) {
		t.Error("only the pseudo-terminal is a terminal")
	}
	if got := widthOf(terminal); got != 132 {
		t.Errorf("terminal: %d columns, want 132", got)
	}
	if got := widthOf(null); got != defaultWidth {
		t.Errorf("no terminal: %d columns, want %d", got, defaultWidth)
	}
	tests := []struct {
		name         string
		noColour     bool
		term         string
		wantColoured bool
	}{
		{"a terminal is coloured", false, "xterm", true},
		{"the wish for none is heeded", true, "xterm", false},
		{"a dumb terminal is not coloured", false, "dumb", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("TERM", test.term)
			const wish = "NO_COLOR" //nolint:misspell // https://no-color.org
			t.Setenv(wish, "")
			if !test.noColour {
				os.Unsetenv(wish)
			}
			if got := newGlobals(terminal, null).style(terminal).colour; got != test.wantColoured {
				t.Errorf("colour %v, want %v", got, test.wantColoured)
			}
		})
	}
}
