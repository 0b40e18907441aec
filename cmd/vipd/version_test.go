package main

import "testing"

func TestVersionIsAFlagToo(t *testing.T) {
	command, flag := newRun(t), newRun(t)
	command.command(t.Context(), "version")
	flag.command(t.Context(), "--version")
	if command.out.String() != flag.out.String() || flag.out.Len() == 0 {
		t.Errorf("vipd version: %q, vipd --version: %q", &command.out, &flag.out)
	}
}
