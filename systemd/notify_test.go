package systemd

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMessagesAreTheProtocols(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	if !Supervised() {
		t.Error("a service with NOTIFY_SOCKET is not supervised")
	}
	n := Notifier{}
	for _, row := range []struct {
		name string
		tell func() error
		want string
	}{
		{"the start is complete", n.Ready, "READY=1"},
		{"a sign of life", n.Alive, "WATCHDOG=1"},
		{"the status is one line, whatever it is made of", func() error { return n.Status("owner;\nunhealthy") }, "STATUS=owner; unhealthy"},
		{"the stop asks for its time", func() error { return n.Stopping(9 * time.Second) }, "STOPPING=1\nEXTEND_TIMEOUT_USEC=9000000"},
		{"a reload says when it began, as Type=notify-reload wants it", n.Reloading, "RELOADING=1\nMONOTONIC_USEC=digits"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if err := row.tell(); err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 4096)
			size, err := socket.Read(b)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(row.want, withoutDigits(string(b[:size]))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// withoutDigits replaces the time of a reload.
func withoutDigits(message string) string {
	before, stamp, ok := strings.Cut(message, "MONOTONIC_USEC=")
	if ok && stamp != "" && strings.Trim(stamp, "0123456789") == "" {
		return before + "MONOTONIC_USEC=digits"
	}
	return message
}

func TestWithoutAServiceManagerNothingIsSaid(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	if Supervised() {
		t.Error("supervised by nobody")
	}
	if err := (Notifier{}).Ready(); err != nil {
		t.Error(err)
	}
}

func TestAManagerThatIsGoneIsAnError(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "notify"))
	if err := (Notifier{}).Ready(); err == nil || !strings.Contains(err.Error(), `"READY=1"`) {
		t.Errorf("got %v", err)
	}
}
