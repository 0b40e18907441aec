package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/control"
	"github.com/vipd/vipd/doctor"
)

const (
	defaultConfig = "/etc/vipd/vipd.yaml"
	defaultSocket = "/run/vipd/vipd.sock"
)

// globals is what all commands share: the global flags, and the world they act
// in, which tests replace.
type globals struct {
	// configPath and socketPath are --config and --socket.
	configPath, socketPath string

	stdout, stderr io.Writer
	now            func() time.Time
	// zone is where people read times.
	zone *time.Location
	// interfaces are this host's.
	interfaces func() ([]config.Interface, error)
	// defaultRoute is the interface of this host's default route.
	defaultRoute func(ipv6 bool) string
	// openHolder opens what takes VIPs off this host.
	openHolder func() (holder, error)
	// openRules opens what takes rules off this host; memory is where changed
	// settings of interfaces are remembered.
	openRules func(memory string) (remover, error)
	// look gathers what doctor judges.
	look func(ctx context.Context, listen time.Duration) *doctor.Facts

	// started: the command line was understood and its command runs.
	started bool
}

func newGlobals(stdout, stderr io.Writer) *globals {
	g := &globals{
		stdout: stdout, stderr: stderr, now: time.Now, zone: time.Local,
		interfaces: hostInterfaces, defaultRoute: defaultRoute, openHolder: openHolder, openRules: openRules,
	}
	g.look = g.lookAtHost
	return g
}

// execute runs the command in args and returns its exit code, having told the
// error.
func execute(ctx context.Context, g *globals, args []string) exit {
	root := newRootCommand(g)
	root.SetArgs(args)
	root.SetOut(g.stdout)
	root.SetErr(g.stderr)
	command, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitDone
	}
	if text := err.Error(); text != "" {
		fmt.Fprintln(g.stderr, "vipd:", text)
	}
	if !g.started {
		fmt.Fprintf(g.stderr, "See '%s --help'.\n", command.CommandPath())
		return exitUsage
	}
	return exitOf(err)
}

func newRootCommand(g *globals) *cobra.Command {
	root := &cobra.Command{
		Use:   "vipd",
		Short: "Keep a cluster's virtual address on one of its control-plane nodes",
		Long: "vipd keeps a cluster's virtual address (VIP) on one of its control-plane nodes.\n" +
			"'vipd run' is the daemon; the other commands talk to it or read its configuration.",
		// Also makes --version an alias of the command.
		Version:       versionLine(),
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(*cobra.Command, []string) error {
			return &exitError{exitUsage, errors.New("no command given; 'vipd --help' lists them, 'vipd status' is where to begin")}
		},
		// Whatever fails before this is the command line's fault.
		PersistentPreRun: func(*cobra.Command, []string) { g.started = true },
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.PersistentFlags().StringVar(&g.configPath, "config", defaultConfig, "configuration `file`")
	root.PersistentFlags().StringVar(&g.socketPath, "socket", "",
		"control socket of the daemon (default: control.socket of the configuration, else "+defaultSocket+")")
	root.AddCommand(
		newRunCommand(g), newCheckCommand(g), newStatusCommand(g), newHistoryCommand(g), newDrainCommand(g),
		newUndrainCommand(g), newReloadCommand(g), newReleaseCommand(g), newDoctorCommand(g),
		newInitCommand(g), newKubeadmCommand(g), newImportCommand(g), newSpeakerCommand(g), newVersionCommand(g), newCompletionCommand(g),
	)
	// Cobra's own takes any word for a shell and exits with 0.
	root.CompletionOptions.DisableDefaultCmd = true
	for _, c := range root.Commands() {
		complete(c)
	}
	return root
}

// complete adds to a command what all of them have: exit codes in the help, and
// no arguments unless it says otherwise.
func complete(c *cobra.Command) {
	if c.Args == nil && c.Runnable() {
		c.Args = cobra.NoArgs
	}
	codes := make([]string, 0, 5)
	for _, code := range exits()[c.Name()] {
		codes = append(codes, strconv.Itoa(int(code)))
	}
	if len(codes) > 0 {
		if c.Long == "" {
			c.Long = c.Short + "."
		}
		c.Long = strings.TrimRight(c.Long, "\n") + "\n\nExit codes: " + strings.Join(codes, ", ") + "."
	}
}

// client returns a client of the daemon. Without --socket its socket is where
// the configuration puts it; a configuration that cannot be read or used is no
// reason not to ask the daemon, which may run on an older one.
func (g *globals) client() *control.Client { return control.NewClient(g.socket()) }

func (g *globals) socket() string {
	if g.socketPath != "" {
		return g.socketPath
	}
	if socket := config.SocketOf(g.configPath); socket != "" {
		return socket
	}
	return defaultSocket
}

// warn tells something that is no error.
func (g *globals) warn(format string, args ...any) {
	fmt.Fprintf(g.stderr, "warning: "+format+"\n", args...)
}

// style is the style for text on w.
func (g *globals) style(w io.Writer) style {
	_, noColour := os.LookupEnv("NO_COLOR") //nolint:misspell // https://no-color.org
	return style{colour: isTerminal(w) && !noColour && os.Getenv("TERM") != "dumb"}
}
