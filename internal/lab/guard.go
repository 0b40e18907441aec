package lab

import (
	"bytes"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
)

// guardScript waits for the end of its input, which comes when the lab is
// closed or its process has died in whatever way. The process itself is spared:
// one of its threads may be inside a namespace. Its own standard input is the
// pipe; /dev/null keeps it from the commands.
const guardScript = `
read -r _
for path in /run/netns/"$1"-*; do
	[ -e "$path" ] || continue
	ns=${path##*/}
	for pid in $(ip netns pids "$ns" </dev/null); do
		[ "$pid" = "$PPID" ] || kill -9 "$pid" 2>/dev/null
	done
	ip netns delete "$ns" </dev/null
done
[ -z "$2" ] || rm -rf "$2"
`

// guard is the process that removes a lab's namespaces.
type guard struct {
	cmd   *exec.Cmd
	pipe  io.Closer
	notes *bytes.Buffer
}

// startGuard starts the guard of all namespaces named prefix-*. It removes dir
// too, unless that is empty.
func startGuard(prefix, dir string) (*guard, error) {
	cmd := exec.Command("sh", "-c", guardScript, "guard", prefix, dir)
	cmd.Dir = "/"
	// An interrupt from the terminal goes to the foreground process group; the guard must outlive it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	notes := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = notes, notes
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start guard: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start guard: %w", err)
	}
	return &guard{cmd: cmd, pipe: pipe, notes: notes}, nil
}

// release lets the guard do its work and waits for its end.
func (g *guard) release() error {
	if err := g.pipe.Close(); err != nil {
		return fmt.Errorf("release guard: %w", err)
	}
	if err := g.cmd.Wait(); err != nil {
		return fmt.Errorf("remove namespaces: %w: %s", err, g.notes)
	}
	if notes := strings.TrimSpace(g.notes.String()); notes != "" {
		return fmt.Errorf("remove namespaces: %s", notes)
	}
	return nil
}
