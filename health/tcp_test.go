package health

import (
	"fmt"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/health/counter"
)

func TestTCP(t *testing.T) {
	check := func(address string) config.Check {
		return config.Check{Type: config.CheckTCP, Name: "c", Address: address, Interval: time.Hour, Timeout: 10 * time.Second, Rise: 1, Fall: 2}
	}
	t.Run("a listener that never accepts is enough", func(t *testing.T) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		expect(t, once(t, check(listener.Addr().String()), Endpoint{}), outcomes{counter.OK, counter.OK}, "")
	})
	t.Run("refused: proof", func(t *testing.T) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address := listener.Addr().String()
		_ = listener.Close()
		expect(t, once(t, check(address), Endpoint{}), outcomes{counter.Refused, counter.Refused}, "connect to "+address+": refused")
	})
	t.Run("an accept queue that nobody empties: time-out, no proof", func(t *testing.T) {
		c := check(fullListener(t))
		c.Timeout = 200 * time.Millisecond
		expect(t, once(t, c, Endpoint{}), outcomes{counter.Timeout, counter.Unasked}, "no answer within 200ms")
	})
	t.Run("no route: no proof", func(t *testing.T) {
		// connect(2) to the broadcast address always fails like this.
		expect(t, once(t, check("255.255.255.255:80"), Endpoint{}), outcomes{counter.Unreachable, counter.Unasked},
			"connect to 255.255.255.255:80: no connection: dial tcp 255.255.255.255:80: connect: network is unreachable")
	})
}

// fullListener is the address of a listener whose accept queue is full: one of
// length 0 holds one connection, and the kernel drops the next ones' SYN.
func fullListener(t *testing.T) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", name.(*unix.SockaddrInet4).Port)
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return address
}
