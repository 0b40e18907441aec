package rawsock

import (
	"errors"
	"testing"

	"github.com/vipd/vipd/internal/dontwait"
)

func TestInterfaceDeletedAndMadeAnew(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		t.Run(version(v6), func(t *testing.T) {
			hosts := newSegment(t, 2)
			alice, bob := hosts[0], hosts[1]
			a, b := listen(t, alice, v6), listen(t, bob, v6)
			must(t, a.Send(alice.addr(v6), Group(v6), []byte("before")))
			next(t, b)

			must(t, bob.unplug())
			await(t, "word of the interface", b.Ready())
			empty(t, b)
			if err := b.Err(); !errors.Is(err, ErrInterfaceGone) {
				t.Fatalf("error %v, want %v", err, ErrInterfaceGone)
			}
			if err := b.Send(bob.addr(v6), Group(v6), []byte("into the void")); err == nil {
				t.Error("sent on an interface that is gone")
			}

			must(t, bob.plug())
			bob.connected(t)
			again := listen(t, bob, v6)
			must(t, a.Send(alice.addr(v6), Group(v6), []byte("after")))
			if got := string(next(t, again).Payload); got != "after" {
				t.Errorf("received %q", got)
			}
			must(t, again.Send(bob.addr(v6), Group(v6), []byte("and back")))
			next(t, a)

			// The old socket stays dead, and nothing in it would have Run spin.
			empty(t, b)
			if err := b.Err(); !errors.Is(err, ErrInterfaceGone) {
				t.Errorf("error %v, want %v", err, ErrInterfaceGone)
			}
			must(t, b.in.raw.Control(func(fd uintptr) {
				if dontwait.Readable(fd) {
					t.Error("the dead socket goes on reading as ready")
				}
			}))
		})
	}
}

func TestSocketOutlivesItsInterfaceBeingDown(t *testing.T) {
	for _, tt := range []struct {
		name      string
		cut, mend func(h *host) error
	}{
		{"carrier lost and found",
			func(h *host) error { return down(h.sw, h.port) },
			func(h *host) error { return up(h.sw, h.port) }},
		{"set down and up",
			func(h *host) error { return down(h.kernel, eth0) },
			func(h *host) error { return up(h.kernel, eth0) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			hosts := newSegment(t, 2)
			alice, bob := hosts[0], hosts[1]
			a, b := listen(t, alice, false), listen(t, bob, false)
			must(t, tt.cut(bob))
			empty(t, b)
			must(t, b.Err())
			// Whether this is an error is the kernel's choice; it must return.
			_ = b.Send(bob.ipv4(), Group(false), []byte("lost"))

			must(t, tt.mend(bob))
			bob.connected(t)
			must(t, a.Send(alice.ipv4(), Group(false), []byte("to bob")))
			if got := string(next(t, b).Payload); got != "to bob" {
				t.Errorf("received %q", got)
			}
			must(t, b.Send(bob.ipv4(), Group(false), []byte("to alice")))
			if got := string(next(t, a).Payload); got != "to alice" {
				t.Errorf("received %q", got)
			}
			must(t, b.Err())
		})
	}
}

func TestOpenedWhileItsInterfaceIsDown(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		t.Run(version(v6), func(t *testing.T) {
			hosts := newSegment(t, 2)
			alice, bob := hosts[0], hosts[1]
			must(t, down(bob.kernel, eth0))
			in := listen(t, bob, v6)
			empty(t, in)
			must(t, in.Err())

			must(t, up(bob.kernel, eth0))
			alice.connected(t)
			bob.connected(t)
			must(t, openOn(t, alice, v6).Send(alice.addr(v6), Group(v6), []byte("advert")))
			if got := string(next(t, in).Payload); got != "advert" {
				t.Errorf("received %q", got)
			}
		})
	}
}
