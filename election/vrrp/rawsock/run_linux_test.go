package rawsock

import (
	"context"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/vipd/vipd/election/vrrp"
)

func TestRunEndsWithItsContext(t *testing.T) {
	s := openOn(t, newSegment(t, 1)[0], false)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	cancel()
	must(t, await(t, "the end of Run", ended))
}

func TestRunEndsWithTheSocket(t *testing.T) {
	hosts := newSegment(t, 2)
	alice, bob := hosts[0], hosts[1]
	for _, tt := range []struct {
		name string
		busy bool
	}{
		{"while it waits for packets", false},
		{"while it waits for the loop", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := openOn(t, bob, false)
			ended := make(chan error, 1)
			go func() { ended <- in.Run(context.Background()) }()
			if tt.busy {
				must(t, openOn(t, alice, false).Send(alice.ipv4(), bob.ipv4(), []byte("advert")))
				await(t, "Ready", in.Ready())
			}
			must(t, in.Close())
			must(t, await(t, "the end of Run", ended))

			must(t, in.Close())
			var f vrrp.Frame
			if in.Receive(&f) {
				t.Error("received from a closed socket")
			}
			if in.Err() == nil {
				t.Error("a closed socket claims to work")
			}
			if in.Send(bob.ipv4(), alice.ipv4(), []byte("advert")) == nil {
				t.Error("sent by a closed socket")
			}
		})
	}
}

// The loop drains only when Ready reports, some of the time it drains unasked,
// and packets come whenever they like: none may be left lying.
func TestNoWakeUpIsLost(t *testing.T) {
	const count = 20000
	hosts := newSegment(t, 2)
	alice, bob := hosts[0], hosts[1]
	out, in := openOn(t, alice, false), openOn(t, bob, false)
	start(t, in)

	// The sender is at most this far ahead, or the queue could overflow.
	window := make(chan struct{}, 256)
	sent := make(chan error, 1)
	go func() {
		chance := rand.New(rand.NewPCG(1, 2))
		for range count {
			window <- struct{}{}
			if err := out.Send(alice.ipv4(), bob.ipv4(), []byte("advert")); err != nil {
				sent <- err
				return
			}
			for range chance.IntN(8) {
				runtime.Gosched()
			}
		}
		sent <- nil
	}()

	chance := rand.New(rand.NewPCG(3, 4))
	var f vrrp.Frame
	for received := 0; received < count; {
		await(t, "Ready", in.Ready())
		for rounds := 1 + chance.IntN(2); rounds > 0; rounds-- {
			for in.Receive(&f) {
				received++
				<-window
			}
			runtime.Gosched()
		}
	}
	must(t, await(t, "the sender", sent))
	empty(t, in)
}
