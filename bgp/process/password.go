package process

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/bgp"
)

const (
	// maxPassword is what the kernel takes for TCP MD5 (TCP_MD5SIG_MAXKEYLEN in
	// linux/tcp.h), in bytes.
	maxPassword = 80
	// maxLine is how much of a password file is read, in bytes.
	maxLine = 128
	// readPatience is how long the daemon's heartbeat may wait for a file. One on a
	// network may take for ever.
	readPatience = 50 * time.Millisecond
	// firstRetry is the pause before a file that was not usable is read again. It
	// doubles up to maxRetry.
	firstRetry = time.Second
	maxRetry   = time.Minute
)

// passwords are the contents of password files. A new generation of the
// configuration has them read anew, and so does time where one is not usable.
type passwords struct {
	generation uint64
	files      map[string]*passwordFile
	log        *slog.Logger
}

type password struct{ text, fault string }

// passwordFile is what is known of a file.
type passwordFile struct {
	known password
	// reading gets what is being read; nil: nothing is.
	reading chan password
	// due: it is to be read anew. Unusable, it is so at retry too, which comes after
	// pause.
	due   bool
	retry time.Time
	pause time.Duration
}

// fill puts the password into a neighbour that has a file of one. Without it
// there must be no session: it would be one that anybody can end.
func (p *passwords) fill(now time.Time, n bgp.Neighbor, generation uint64) bgp.Neighbor {
	if n.PasswordFile == "" || n.Unusable != "" {
		return n
	}
	if p.generation != generation {
		p.generation = generation
		for _, f := range p.files {
			f.due, f.pause = true, 0
		}
	}
	f := p.files[n.PasswordFile]
	if f == nil {
		f = &passwordFile{due: true, known: password{fault: fmt.Sprintf("password_file %s is still being read; is it on a file system that does not answer?", n.PasswordFile)}}
		p.files[n.PasswordFile] = f
	}
	f.update(now, n.PasswordFile, p.log)
	n.Password, n.Unusable = f.known.text, f.known.fault
	return n
}

// update reads the file where that is due. It waits for readPatience at the most;
// what comes later is taken the next time.
func (f *passwordFile) update(now time.Time, path string, log *slog.Logger) {
	if f.reading != nil {
		select {
		case read := <-f.reading:
			f.take(now, read)
		default:
		}
		return
	}
	if !f.due && (f.known.fault == "" || now.Before(f.retry)) {
		return
	}
	answer := make(chan password, 1)
	go func() { answer <- readPassword(path, log) }()
	f.due, f.reading = false, answer
	select {
	case read := <-answer:
		f.take(now, read)
	case <-time.After(readPatience):
	}
}

func (f *passwordFile) take(now time.Time, read password) {
	f.known, f.reading = read, nil
	f.pause = min(max(2*f.pause, firstRetry), maxRetry)
	f.retry = now.Add(f.pause)
}

// readPassword reads the first line of a file.
func readPassword(path string, log *slog.Logger) password {
	content, mode, err := readRegular(path)
	if err != nil {
		return password{fault: fmt.Sprintf("the password cannot be read: %v; mend it, and it is read again within %v", err, maxRetry)}
	}
	line, _, _ := strings.Cut(content, "\n")
	line = strings.TrimSuffix(line, "\r")
	if line == "" || len(line) > maxPassword {
		return password{fault: fmt.Sprintf("password_file %s: its first line has %s; TCP MD5 takes 1 to %d. Mend it, and it is read again within %v", path, lengthOf(line), maxPassword, maxRetry)}
	}
	// A group is how the daemon's user reads what is root's.
	if everybody := os.FileMode(0o007); mode&everybody != 0 {
		log.Warn("a password is open to everybody on this host; make the file root:vipd 0640", "file", path, "mode", mode.String())
	}
	return password{text: line}
}

// lengthOf is the length of a line in words.
func lengthOf(line string) string {
	if len(line) == maxLine {
		return fmt.Sprintf("%d bytes or more", maxLine)
	}
	return fmt.Sprintf("%d bytes", len(line))
}

// readRegular reads the first maxLine bytes of a regular file; any other one could
// have a reader wait for ever.
func readRegular(path string) (content string, mode os.FileMode, err error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0) //nolint:gosec // the operator's own choice
	if err != nil {
		return "", 0, err
	}
	defer func() { _ = file.Close() }() // it was only read
	info, err := file.Stat()
	if err != nil {
		return "", 0, err
	}
	if !info.Mode().IsRegular() {
		return "", 0, fmt.Errorf("%s is no regular file", path)
	}
	b, err := io.ReadAll(io.LimitReader(file, maxLine))
	return string(b), info.Mode().Perm(), err
}
