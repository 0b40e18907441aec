package apiserver

import "fmt"

// Mode is the state of health that a living server shows.
type Mode string

const (
	// Ready means that all is well.
	Ready Mode = "ready"
	// Unready means that /readyz says 500, the rest works, as while etcd is unreachable.
	Unready Mode = "unready"
	// Unwell means that /readyz and /livez say 500, the rest works.
	Unwell Mode = "unwell"
	// Unauthorised means that /readyz and /livez say 401, as without anonymous access.
	Unauthorised Mode = "unauthorised"
	// Hung means that connections and handshakes work, but no request is answered
	// and streams stand still. A process that was sent SIGSTOP is hung more deeply.
	Hung Mode = "hung"
)

// parseMode accepts the constants above.
func parseMode(s string) (Mode, error) {
	switch m := Mode(s); m {
	case Ready, Unready, Unwell, Unauthorised, Hung:
		return m, nil
	}
	return "", fmt.Errorf("no such mode: %q", s)
}
