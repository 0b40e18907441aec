package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/bgp"
)

// privileges are what the kernel says of a process's capabilities.
func privileges() string {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		switch name {
		case "CapInh", "CapPrm", "CapEff", "CapAmb", "NoNewPrivs":
			fmt.Fprintln(&b, name, strings.TrimLeft(strings.TrimSpace(value), "0"))
		}
	}
	return b.String()
}

// A speaker reads the bytes of strangers.
func TestASpeakerHasNoPrivileges(t *testing.T) {
	d := begin(t)
	d.want(map[netip.Addr]string{first(): "privileges"})
	s := d.await("a report", func(s State) bool { return serves(s, bgp.Established, first()) })
	if diff := cmp.Diff("CapInh \nCapPrm \nCapEff \nCapAmb \nNoNewPrivs 1\n", s.Report.Neighbors[0].Error); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// keepSpeaker is a daemon: it runs a deaf speaker for ever.
func keepSpeaker(file string) {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	c := New(Options{Command: []string{self, "deaf", file}, Stderr: os.Stderr, Log: slog.New(slog.DiscardHandler), Changed: func(State) {}, TimeLeft: func() time.Duration { return patience }})
	go func() {
		for ; ; time.Sleep(bgp.Beat) {
			c.Want(bgp.Wanted{Neighbors: []bgp.Neighbor{{Address: first()}}})
		}
	}()
	panic(c.Run(context.Background()))
}

// beDeaf is a speaker that does not notice the end of the socket. It says in a
// file that it runs, and in the end that it was told.
func beDeaf(file string) {
	told := make(chan os.Signal, 1)
	signal.Notify(told, Orphaned)
	say(file, "it runs")
	for {
		select {
		case <-told:
			say(file, "its daemon is dead")
			return
		case <-time.After(bgp.ReportInterval):
			_ = bgp.Write(os.NewFile(3, "daemon"), bgp.Message{Report: &bgp.Report{}})
		}
	}
}

// say puts a text into a file as a whole.
func say(file, text string) {
	if err := errors.Join(os.WriteFile(file+".new", []byte(text), 0o600), os.Rename(file+".new", file)); err != nil {
		panic(err)
	}
}

// The kernel tells a speaker that its daemon is dead, which needs the thread that
// started it.
func TestASpeakerIsToldThatItsDaemonIsDead(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	file := t.TempDir() + "/words"
	await := func(want string) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
			text, err := os.ReadFile(file)
			if string(text) == want {
				return
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) || time.Now().After(end) {
				t.Fatalf("in vain: %s; %q, %v", want, text, err)
			}
		}
	}
	daemon := exec.Command(self, "daemon", file)
	daemon.Stderr = os.Stderr
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = daemon.Process.Kill(); _ = daemon.Wait() })
	await("it runs")
	if err := daemon.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	await("its daemon is dead")
}

func TestALogLineIsCutAndTheNextOnesAreNotLost(t *testing.T) {
	long := strings.Repeat("x", 1<<17)
	rows := []struct{ name, text, want string }{
		{"lines", "one\n\ntwo\n", "one\n\ntwo\n"},
		{"without an end", "one\ntwo", "one\ntwo\n"},
		{"a long one", "one\n" + long + "\ntwo\n", "one\n" + long[:maxLogLine] + "\ntwo\n"},
		{"a long one without an end", "one\n" + long, "one\n" + long[:maxLogLine] + "\n"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			var p child
			var got strings.Builder
			p.listen(strings.NewReader(row.text), &got)
			if diff := cmp.Diff(row.want, got.String()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestTheCauseOfADeathIsFoundAfterALongLine(t *testing.T) {
	var p child
	p.listen(strings.NewReader(strings.Repeat("x", 1<<17)+"\npanic: nil\n"), io.Discard)
	if p.words.cause != "panic: nil" {
		t.Errorf("cause %q", p.words.cause)
	}
}
