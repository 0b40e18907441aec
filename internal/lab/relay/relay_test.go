package relay

import (
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/labtest"
)

func TestMain(m *testing.M) { labtest.Main(m) }

// echo serves on a host what it is told, until the test ends.
func echo(t *testing.T, h *lab.Host, address string) {
	t.Helper()
	var listener net.Listener
	err := h.Do(func() (err error) {
		listener, err = net.Listen("tcp", address)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			}()
		}
	}()
}

func TestRelay(t *testing.T) {
	l := labtest.New(t, lab.Options{Hosts: 1})
	h := l.Hosts[0]
	echo(t, h, "127.0.0.1:7")
	r, err := Open(h, "127.0.0.1:1007", "127.0.0.1:7")
	if err != nil {
		t.Fatal(err)
	}
	var conn net.Conn
	err = h.Do(func() (err error) {
		conn, err = net.Dial("tcp", "127.0.0.1:1007")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	say := func() {
		t.Helper()
		if _, err := conn.Write([]byte("?")); err != nil {
			t.Fatal(err)
		}
	}
	hear := func() error {
		if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			return err
		}
		_, err := io.ReadFull(conn, make([]byte, 1))
		return err
	}
	say()
	if err := hear(); err != nil {
		t.Fatalf("passed on: %v", err)
	}
	r.Delay(50 * time.Millisecond)
	asked := time.Now()
	say()
	if err := hear(); err != nil {
		t.Fatalf("delayed: %v", err)
	}
	if took := time.Since(asked); took < 100*time.Millisecond {
		t.Errorf("there and back took %v with 50 ms each", took)
	}
	r.Delay(0)
	r.Cut()
	say()
	if err := conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); !os.IsTimeout(err) {
		t.Errorf("cut: got %v, want silence", err)
	}
	r.Mend()
	if err := hear(); err != nil {
		t.Errorf("mended: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := hear(); err == nil {
		t.Error("the connection outlived the relay")
	}
}
