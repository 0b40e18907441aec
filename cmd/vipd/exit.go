package main

import (
	"errors"

	"github.com/vipd/vipd/control"
)

// exit is the exit code of a command. Hooks and scripts rely on the numbers.
type exit int

const (
	// exitDone: what was asked for is true.
	exitDone exit = 0
	// exitFailed: something else than the following went wrong.
	exitFailed exit = 1
	// exitUsage: the command line or the configuration is wrong.
	exitUsage exit = 2
	// exitNoSuccessor: no healthy successor, and nothing changed.
	exitNoSuccessor exit = 3
	// exitReset: done, but connections that were waited for had to be ended.
	exitReset exit = 4
	// exitNotRunning: no daemon answers.
	exitNotRunning exit = 5

	// exitWarnings and exitErrors: what doctor found at the worst.
	exitWarnings exit = 1
	exitErrors   exit = 3
)

// exits lists the exit codes of each command, for its help and the tests.
func exits() map[string][]exit {
	return map[string][]exit{
		"run":        {exitDone, exitFailed, exitUsage},
		"check":      {exitDone, exitUsage},
		"status":     {exitDone, exitFailed, exitUsage, exitNotRunning},
		"history":    {exitDone, exitFailed, exitUsage, exitNotRunning},
		"drain":      {exitDone, exitFailed, exitUsage, exitNoSuccessor, exitReset, exitNotRunning},
		"undrain":    {exitDone, exitFailed, exitUsage, exitNotRunning},
		"reload":     {exitDone, exitFailed, exitUsage, exitNotRunning},
		"doctor":     {exitDone, exitWarnings, exitUsage, exitErrors},
		"release":    {exitDone, exitFailed, exitUsage},
		"init":       {exitDone, exitFailed, exitUsage},
		"kubeadm":    {exitDone, exitUsage},
		"import":     {exitDone, exitFailed, exitUsage},
		"version":    {exitDone, exitUsage},
		"completion": {exitDone, exitUsage},
	}
}

// exitError is an error with an exit code of its own. Without a cause the
// command has said all there is to say.
type exitError struct {
	code  exit
	cause error
}

func (e *exitError) Error() string {
	if e.cause == nil {
		return ""
	}
	return e.cause.Error()
}

func (e *exitError) Unwrap() error { return e.cause }

// exitOf is the exit code that tells err.
func exitOf(err error) exit {
	var own *exitError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &own):
		return own.code
	case errors.Is(err, control.ErrNotRunning):
		return exitNotRunning
	case errors.Is(err, control.ErrRefused):
		return exitUsage
	}
	return exitFailed
}
