package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// lines is an answer of one JSON object a line, each sent at once.
type lines struct {
	w          http.ResponseWriter
	connection *http.ResponseController
	encoder    *json.Encoder
	begun      bool
}

func newLines(w http.ResponseWriter) *lines {
	return &lines{w: w, connection: http.NewResponseController(w), encoder: json.NewEncoder(w)}
}

// begin sends the headers, if they are not sent yet.
func (l *lines) begin() error {
	if l.begun {
		return nil
	}
	l.begun = true
	if err := l.limit(); err != nil {
		return err
	}
	l.w.Header().Set("Content-Type", "application/jsonl")
	l.w.WriteHeader(http.StatusOK)
	return l.flush()
}

// send sends one line. An error means that the client is gone or takes nothing.
func (l *lines) send(v any) error {
	if err := l.begin(); err != nil {
		return err
	}
	if err := l.limit(); err != nil {
		return err
	}
	if err := l.encoder.Encode(v); err != nil {
		return fmt.Errorf("send a line: %w", err)
	}
	return l.flush()
}

// fail ends the answer with an error: as a line if it has begun.
func (l *lines) fail(err error) {
	if !l.begun {
		fail(l.w, err)
		return
	}
	// A line that cannot be sent has no reader any more.
	_ = l.send(errorBody{err.Error()})
}

// limit bounds what is sent next: the limit of the line before may be over.
func (l *lines) limit() error {
	if err := l.connection.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return fmt.Errorf("send a line: %w", err)
	}
	return nil
}

func (l *lines) flush() error {
	if err := l.connection.Flush(); err != nil {
		return fmt.Errorf("send a line: %w", err)
	}
	return nil
}

// unmarshal reads the one JSON document in data, refusing what it does not
// know: a misspelt option must not be ignored. Empty data is no document.
func unmarshal(data []byte, v any) error {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("one JSON object is wanted, there is more")
	}
	return nil
}
