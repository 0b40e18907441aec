package listener

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// memory is a listener whose connections never leave the process.
type memory struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newMemory() *memory { return &memory{make(chan net.Conn), make(chan struct{})} }

func (m *memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

func (m *memory) Close() error {
	select {
	case <-m.closed:
	default:
		close(m.closed)
	}
	return nil
}

func (m *memory) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 9650} }

func (m *memory) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	m.conns <- theirs
	return ours, nil
}

func hello(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }

func TestWhatCannotBeServedYetIsServedLater(t *testing.T) {
	tests := []struct {
		name string
		// listening and ready are what stands in the way for the first minute.
		listening, ready error
		text             string
	}{
		{"not assigned at boot", syscall.EADDRNOTAVAIL, nil, "metrics.listen: 192.0.2.1:9650 is no address of this host yet"},
		{"taken by another process", syscall.EADDRINUSE, nil, "metrics.listen: 192.0.2.1:9650 is taken by another process"},
		{"not allowed", syscall.EACCES, nil, "metrics.listen: 192.0.2.1:9650: listen: bind: permission denied"},
		{"not to be served", nil, errors.New("the file is bad"), "the file is bad"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				later, there := newMemory(), time.Now().Add(time.Minute)
				l := Listener{
					Key: "metrics.listen", Address: "192.0.2.1:9650", Handler: http.HandlerFunc(hello),
					Log: slog.New(slog.NewTextHandler(&log, nil)),
					Ready: func() error {
						if time.Now().Before(there) {
							return test.ready
						}
						return nil
					},
					Listen: func(context.Context, string, string) (net.Listener, error) {
						if time.Now().Before(there) {
							return nil, &net.OpError{Op: "listen", Err: os.NewSyscallError("bind", test.listening)}
						}
						return later, nil
					},
				}
				ctx, stop := context.WithCancel(t.Context())
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					l.Run(ctx)
				}()
				client := http.Client{Transport: &http.Transport{DialContext: later.dial}}
				answer, err := client.Get("http://192.0.2.1:9650/")
				if err != nil {
					t.Fatal(err)
				}
				answer.Body.Close()
				client.CloseIdleConnections()
				stop()
				<-ended
				if got := strings.Count(log.String(), "level=ERROR"); got != 1 || !strings.Contains(log.String(), test.text) {
					t.Errorf("%d errors logged, want one with %q:\n%s", got, test.text, &log)
				}
			})
		})
	}
}

func TestRunEndsWithItsContextWhileItCannotListen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := Listener{
			Log:    slog.New(slog.DiscardHandler),
			Listen: func(context.Context, string, string) (net.Listener, error) { return nil, syscall.EADDRINUSE },
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			l.Run(ctx)
		}()
		synctest.Wait()
		stop()
		<-ended
	})
}

func TestAnAnswerThatIsUnderWayAtTheEndIsGiven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := make(chan struct{})
		socket := newMemory()
		l := Listener{
			Log: slog.New(slog.DiscardHandler),
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				close(asked)
				time.Sleep(stopGrace / 2)
				hello(w, r)
			}),
			Listen: func(context.Context, string, string) (net.Listener, error) { return socket, nil },
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			l.Run(ctx)
		}()
		go func() { <-asked; stop() }()
		client := http.Client{Transport: &http.Transport{DialContext: socket.dial}}
		answer, err := client.Get("http://192.0.2.1:9650/")
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		<-ended
	})
}
