package bgp

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

const (
	// Beat is how often the daemon says what it wants, whether or not that
	// changed.
	Beat = 500 * time.Millisecond
	// Lapse is how long a speaker that hears nothing goes on announcing. The
	// daemon is dead or frozen by then, and its addresses are about to go: their
	// fence is 3 s unless configured shorter.
	Lapse = 2 * time.Second
	// ReportInterval is how often a speaker reports, whether or not anything
	// changed.
	ReportInterval = 500 * time.Millisecond
	// Silence is how long the daemon waits for a report.
	Silence = 2 * time.Second

	// maxMessage bounds a message, in bytes, far above what is needed.
	maxMessage = 1 << 20
)

// Message is one line of JSON, from either side. What the other side does not
// know is ignored, so that a new binary gets along with an old process.
type Message struct {
	// Wanted is the daemon's.
	Wanted *Wanted `json:"wanted,omitempty"`
	// Report is the speaker's.
	Report *Report `json:"report,omitempty"`
}

// Write sends one message. It returns as soon as the kernel has it.
func Write(w io.Writer, m Message) error {
	line, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode message: %w", err)
	}
	_, err = w.Write(append(line, '\n'))
	return err
}

// Reader reads messages.
type Reader struct{ lines *bufio.Scanner }

// NewReader returns a Reader of r.
func NewReader(r io.Reader) *Reader {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 4096), maxMessage)
	return &Reader{lines: lines}
}

// Read waits for the next message. io.EOF: the other side is gone.
func (r *Reader) Read() (Message, error) {
	if !r.lines.Scan() {
		if err := r.lines.Err(); err != nil {
			return Message{}, fmt.Errorf("read message: %w", err)
		}
		return Message{}, io.EOF
	}
	var m Message
	if err := json.Unmarshal(r.lines.Bytes(), &m); err != nil {
		return Message{}, fmt.Errorf("read message: %w", err)
	}
	if m.Wanted == nil && m.Report == nil {
		return Message{}, errors.New("read message: it is empty")
	}
	return m, nil
}
