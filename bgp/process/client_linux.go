package process

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/bgp"
	"github.com/vipd/vipd/internal/program"
)

const (
	// firstPause is the pause before a speaker that died is started again. It
	// doubles up to maxPause, and begins anew when one lived for proven.
	firstPause = 100 * time.Millisecond
	maxPause   = 5 * time.Second
	proven     = 10 * time.Second
	// silenceGrace is how long words of the speaker that are on their way may take.
	silenceGrace = 50 * time.Millisecond
	// patience is how long a speaker that was told to end may take at the most.
	patience = 3 * time.Second
	// maxLogLine is how much of a line of its log is passed on, in bytes.
	maxLogLine = 4096
)

// Orphaned is what the kernel sends a speaker whose daemon is dead. It makes the
// speaker end as the end of the socket does, should that ever be missed. Nobody
// sends it to a daemon, and so by mistake to its speaker.
const Orphaned = syscall.SIGUSR2

// Options are what a Client is made of.
type Options struct {
	// Command starts a speaker that serves the socket at file descriptor 3.
	Command []string
	// Stderr takes the speaker's log.
	Stderr io.Writer
	Log    *slog.Logger
	// Changed is called, by a goroutine of Run, for each State.
	Changed func(State)
	// TimeLeft is how long a speaker that is told to end now may take.
	TimeLeft func() time.Duration
}

// State is what is known of the speaker.
type State struct {
	// Running: there is a process, and it reports.
	Running bool
	// Restarts counts the processes that died.
	Restarts uint64
	// Error is why the last one died; empty while one runs.
	Error  string
	Report bgp.Report
}

// Client keeps a speaker running while there are neighbours.
type Client struct {
	opts Options
	// wants holds the newest word.
	wants chan bgp.Wanted

	// What follows belongs to Run.

	quarantine quarantine
	passwords  passwords
	// generation is that of the last configuration that was said: with a new one,
	// neighbours may have been mended.
	generation uint64
	wanted     bgp.Wanted
	state      State
}

// New returns a client that has not started.
func New(o Options) *Client {
	return &Client{opts: o, wants: make(chan bgp.Wanted, 1), quarantine: quarantine{}, passwords: passwords{files: map[string]*passwordFile{}, log: o.Log}}
}

// Want says what is to be true. It does not wait. It has to be said each
// bgp.Beat: what is not said for bgp.Lapse is not wanted any more.
func (c *Client) Want(w bgp.Wanted) {
	for {
		select {
		case c.wants <- w:
			return
		default:
		}
		select {
		case <-c.wants: // replaced
		default:
		}
	}
}

// Run keeps the speaker until ctx ends. It returns when the speaker has told the
// neighbours and is gone.
func (c *Client) Run(ctx context.Context) error {
	pause := firstPause
	for ctx.Err() == nil {
		for len(c.wanted.Neighbors) == 0 {
			select {
			case c.wanted = <-c.wants:
			case <-ctx.Done():
				return nil
			}
		}
		began := time.Now()
		err := c.serve(ctx)
		if err == nil || ctx.Err() != nil {
			continue // it is not needed any more
		}
		if time.Since(began) >= proven {
			pause = firstPause
		}
		c.state = State{Restarts: c.state.Restarts + 1, Error: err.Error()}
		c.opts.Log.Error("the speaker ended; BGP sessions begin anew", "error", err, "pause", pause)
		c.opts.Changed(c.state)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		pause = min(2*pause, maxPause)
	}
	return nil
}

// serve runs one speaker. nil: none is needed any more, or ctx ended.
func (c *Client) serve(ctx context.Context) error {
	p, err := start(c.opts)
	if err != nil {
		return err
	}
	defer func() { _ = p.conn.Close() }() // it may be closed already
	c.state.Error = ""
	c.catchUp()
	silence := time.NewTimer(bgp.Silence)
	defer silence.Stop()
	if err := c.say(p); err != nil {
		return c.judge(p.died(err))
	}
	for {
		select {
		case c.wanted = <-c.wants:
			if len(c.wanted.Neighbors) == 0 {
				c.end(p)
				c.state = State{Restarts: c.state.Restarts}
				c.opts.Changed(c.state)
				return nil
			}
			if err := c.say(p); err != nil {
				return c.judge(p.died(err))
			}
		case r := <-p.reports:
			silence.Reset(bgp.Silence)
			c.hear(r)
		case err := <-p.gone:
			return c.judge(p.died(err))
		case <-silence.C:
			// After a pause of the host its words may be on their way.
			select {
			case r := <-p.reports:
				silence.Reset(bgp.Silence)
				c.hear(r)
				continue
			case <-time.After(silenceGrace):
			}
			return p.died(fmt.Errorf("it said nothing for %v", bgp.Silence))
		case <-ctx.Done():
			c.end(p)
			return nil
		}
	}
}

// catchUp takes what was said while no speaker ran: what killed the last one may
// not be wanted any more.
func (c *Client) catchUp() {
	select {
	case c.wanted = <-c.wants:
	default:
	}
}

// say tells the speaker what is wanted, less the neighbours in quarantine.
func (c *Client) say(p *child) error {
	w, now := c.wanted, time.Now()
	w.Neighbors = nil
	if c.generation != w.Generation {
		c.generation = w.Generation
		c.quarantine.pardon(now)
	}
	for _, n := range c.wanted.Neighbors {
		if _, held := c.quarantine.holds(now, n.Address); !held {
			n.Restarted = c.state.Restarts > 0
			w.Neighbors = append(w.Neighbors, c.passwords.fill(now, n, w.Generation))
		}
	}
	if err := p.conn.SetWriteDeadline(now.Add(bgp.Silence)); err != nil {
		return err
	}
	return bgp.Write(p.conn, bgp.Message{Wanted: &w})
}

// hear takes a report and adds the neighbours in quarantine.
func (c *Client) hear(r bgp.Report) {
	now := time.Now()
	for _, n := range c.wanted.Neighbors {
		if rec, held := c.quarantine.holds(now, n.Address); held {
			r.Neighbors = append(r.Neighbors, bgp.NeighborReport{
				Address: n.Address, ASN: n.ASN, State: bgp.Quarantined, Age: now.Sub(rec.last),
				Error: fmt.Sprintf("its messages ended the speaker (times: %d, the last time by: %s); the session is tried again in %v, or at vipd reload", rec.kills, rec.cause, rec.until.Sub(now).Round(time.Second)),
			})
		}
	}
	c.state.Running, c.state.Report = true, r
	c.opts.Changed(c.state)
}

// judge notes whose messages a speaker died of.
func (c *Client) judge(d *death) error {
	if d.words.neighbor.IsValid() {
		r := c.quarantine.killed(time.Now(), d.words.neighbor)
		r.cause = strings.TrimPrefix(d.words.cause, "panic: ")
		c.opts.Log.Error("a neighbour's messages ended the speaker; look at the router", "neighbor", d.words.neighbor, "times", r.kills, "until", r.until)
	}
	return d
}

// child is one speaker process.
type child struct {
	cmd     *exec.Cmd
	conn    net.Conn
	reports chan bgp.Report
	// gone gets the error that ended the reports. waited is closed when the
	// process is gone and its words were read.
	gone   chan error
	waited chan struct{}
	words  lastWords
	err    error
}

// death is the end of a speaker that nobody wanted.
type death struct {
	why   error
	words lastWords
}

// Error says what the speaker died of.
func (d *death) Error() string {
	if d.words.cause != "" {
		return fmt.Sprintf("speaker: %s (%v)", d.words.cause, d.why)
	}
	return fmt.Sprintf("speaker: %v", d.why)
}

func (d *death) Unwrap() error { return d.why }

// start starts a process with one end of a socket pair.
func start(o Options) (*child, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, fmt.Errorf("start the speaker: %w", err)
	}
	defer func() { _ = theirs.Close() }() // the child has its own
	p := &child{conn: ours, reports: make(chan bgp.Report), gone: make(chan error, 1), waited: make(chan struct{})}
	p.cmd = exec.Command(o.Command[0], o.Command[1:]...) //nolint:gosec // this program itself
	p.cmd.ExtraFiles = []*os.File{theirs}
	p.cmd.Env = append(os.Environ(), "GODEBUG=tracebacklabels=1")
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: Orphaned}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the speaker: %w", err), ours.Close())
	}
	started := make(chan error, 1)
	go func() {
		// What reads the bytes of strangers has no capabilities. The thread ends with
		// the child and not before: Orphaned is tied to it (prctl(2),
		// PR_SET_PDEATHSIG).
		err := program.WithoutPrivileges(func() error {
			if err := p.cmd.Start(); err != nil {
				return err
			}
			started <- nil
			p.listen(stderr, o.Stderr)
			p.err = p.cmd.Wait()
			close(p.waited)
			return nil
		})
		if err != nil {
			started <- err
		}
	}()
	if err := <-started; err != nil {
		return nil, errors.Join(fmt.Errorf("start the speaker: %w", err), ours.Close())
	}
	go p.read()
	return p, nil
}

// socketPair returns two ends of a private connection.
func socketPair() (ours net.Conn, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	file := os.NewFile(uintptr(fds[0]), "speaker")
	theirs = os.NewFile(uintptr(fds[1]), "daemon")
	ours, err = net.FileConn(file) // a copy
	err = errors.Join(err, file.Close())
	if err != nil {
		return nil, nil, errors.Join(err, theirs.Close())
	}
	return ours, theirs, nil
}

// listen passes the speaker's log on, until its end. Lines are cut at maxLogLine. A
// traceback is long, so only its first lines are passed on.
func (p *child) listen(from io.Reader, to io.Writer) {
	const shown = 24
	told := 0
	for lines := bufio.NewReaderSize(from, maxLogLine); ; {
		line, err := readLine(lines)
		if err != nil {
			return
		}
		if p.words.hear(line) {
			if told++; told > shown {
				continue
			}
		}
		fmt.Fprintln(to, line)
	}
}

// readLine reads a line without its end, and drops what does not fit into the
// reader's buffer.
func readLine(from *bufio.Reader) (string, error) {
	head, cut, err := from.ReadLine()
	line := string(head)
	for cut && err == nil {
		_, cut, err = from.ReadLine()
	}
	if line != "" {
		return line, nil // the next call tells the error
	}
	return line, err
}

func (p *child) read() {
	messages := bgp.NewReader(p.conn)
	for {
		m, err := messages.Read()
		if err != nil {
			p.gone <- err
			return
		}
		if m.Report == nil {
			continue
		}
		select {
		case p.reports <- *m.Report:
		case <-p.waited:
		}
	}
}

// died makes sure that the process is gone, and tells what it died of.
func (p *child) died(why error) *death {
	_ = p.cmd.Process.Kill() // it is gone already, or is not worth waiting for
	<-p.waited
	if errors.Is(why, io.EOF) && p.err != nil {
		why = p.err
	}
	return &death{why: why, words: p.words}
}

// end has a process tell the neighbours and end.
func (c *Client) end(p *child) {
	_ = p.conn.Close() // which is the word
	select {
	case <-p.waited:
	case <-time.After(min(patience, c.opts.TimeLeft())):
		c.opts.Log.Warn("the speaker did not part from the routers in time; it is killed")
		_ = p.cmd.Process.Kill() // see died
		<-p.waited
	}
}
