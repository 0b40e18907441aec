package control_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/control"
	"github.com/vipd/vipd/control/controltest"
)

// nobody is a user that is not root, by number: it need not exist.
const nobody = 65534

// daemonGroup exists on every Linux and has nothing to do with anything here.
const daemonGroup = "daemon"

func TestPeerOfRealProcesses(t *testing.T) {
	requireRoot(t)
	var many []uint32
	for id := range uint32(100) {
		many = append(many, 5000+id)
	}
	tests := []struct {
		name   string
		gid    uint32
		groups []uint32
	}{
		{"no supplementary group", 4001, nil},
		{"two supplementary groups", 4001, []uint32{4002, 4003}},
		{"more groups than the first guess", 4001, many},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := controltest.Socket(t)
			l, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if err := os.Chmod(path, 0o666); err != nil {
				t.Fatal(err)
			}
			client, err := dialAs(path, nobody, test.gid, test.groups)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			server, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			got, err := control.PeerOf(server)
			if err != nil {
				t.Fatal(err)
			}
			// Credentials carry the process's number, not the thread's.
			want := control.Peer{PID: int32(os.Getpid()), UID: nobody, GID: test.gid, Groups: test.groups}
			if len(test.groups) == 0 {
				want.Groups = []uint32{}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("peer (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPeerOfNeedsAUnixSocket(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if _, err := control.PeerOf(a); err == nil {
		t.Error("a pipe has no credentials, yet some were told")
	}
}

func TestWhoMayDoWhat(t *testing.T) {
	requireRoot(t)
	group := groupID(t, daemonGroup)
	agent := controltest.New(oneVIP())
	path := controltest.Socket(t)
	log := slog.New(slog.DiscardHandler)
	l, err := control.Listen(t.Context(), path, daemonGroup, log)
	if err != nil {
		t.Fatal(err)
	}
	controltest.ServeOn(t, control.NewServer(agent, daemonGroup, log), l)

	if _, err := dialAs(path, nobody, nobody, nil); !errors.Is(err, syscall.EACCES) {
		t.Errorf("someone outside the group: %v, want permission denied by the kernel", err)
	}
	c, err := dialAs(path, nobody, nobody, []uint32{group})
	if err != nil {
		t.Fatalf("a member of the group: %v", err)
	}
	defer c.Close()
	if got := request(t, c, http.MethodGet, "/v1/status"); got != http.StatusOK {
		t.Errorf("status for the group: %d", got)
	}
	if got := request(t, c, http.MethodPost, "/v1/undrain"); got != http.StatusNoContent {
		t.Errorf("undrain for the group: %d", got)
	}

	// A socket that someone opened wide: all may read, changes are refused.
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	stranger, err := dialAs(path, nobody, nobody, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	if got := request(t, stranger, http.MethodGet, "/v1/status"); got != http.StatusOK {
		t.Errorf("status for a stranger on an open socket: %d", got)
	}
	if got := request(t, stranger, http.MethodPost, "/v1/undrain"); got != http.StatusForbidden {
		t.Errorf("undrain for a stranger: %d, want 403", got)
	}
}

// request sends a request on a connection that is there already.
func request(t *testing.T, c net.Conn, method, path string) (status int) {
	t.Helper()
	if _, err := fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: vipd\r\nContent-Length: 0\r\n\r\n", method, path); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	return answer.StatusCode
}

// dialAs connects as another user. Credentials belong to a thread, and that
// thread ends with its goroutine.
func dialAs(path string, uid, gid uint32, groups []uint32) (net.Conn, error) {
	type dialled struct {
		c   net.Conn
		err error
	}
	result := make(chan dialled)
	go func() {
		// Never unlocked: the thread is not fit for anything else any more.
		runtime.LockOSThread()
		if err := become(uid, gid, groups); err != nil {
			result <- dialled{nil, err}
			return
		}
		var dialer net.Dialer
		c, err := dialer.DialContext(context.Background(), "unix", path)
		result <- dialled{c, err}
	}()
	d := <-result
	return d.c, d.err
}

// become changes the credentials of the calling thread only, which the
// syscall package avoids on purpose.
func become(uid, gid uint32, groups []uint32) error {
	if _, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(unsafe.SliceData(groups))), 0); errno != 0 {
		return fmt.Errorf("setgroups: %w", errno)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESGID, uintptr(gid), uintptr(gid), uintptr(gid)); errno != 0 {
		return fmt.Errorf("setresgid: %w", errno)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)); errno != 0 {
		return fmt.Errorf("setresuid: %w", errno)
	}
	return nil
}
