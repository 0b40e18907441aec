package main

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// defaultWidth is the width of text that does not go to a terminal.
const defaultWidth = 80

// isTerminal reports whether a person reads w as it is written.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS)
	return err == nil
}

// widthOf is the number of columns of w.
func widthOf(w io.Writer) int {
	file, ok := w.(*os.File)
	if !ok {
		return defaultWidth
	}
	size, err := unix.IoctlGetWinsize(int(file.Fd()), unix.TIOCGWINSZ)
	if err != nil || size.Col < 40 {
		return defaultWidth
	}
	return int(size.Col)
}
