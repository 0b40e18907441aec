package rawsock

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
)

// queue stands for the kernel's: look blocks while it is empty.
type queue struct {
	mu      sync.Mutex
	arrived *sync.Cond
	packets int
}

func newQueue() *queue {
	q := &queue{}
	q.arrived = sync.NewCond(&q.mu)
	return q
}

func (q *queue) look() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.packets == 0 {
		q.arrived.Wait()
	}
	return nil
}

func (q *queue) put() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.packets++
	q.arrived.Broadcast()
}

func (q *queue) empty() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.packets = 0
}

// A loop does what it is told to, step by step, and between the steps the
// watcher comes to rest.
func TestReadiness(t *testing.T) {
	type step string
	const (
		packet  step = "a packet arrives"
		take    step = "the loop takes the word"
		drain   step = "the loop empties the queue"
		rearm   step = "the loop says that the queue was empty"
		told    step = "the loop has been told"
		notTold step = "the loop has not been told"
	)
	for _, tt := range []struct {
		name  string
		steps []step
	}{
		{"an empty queue is not reported", []step{notTold}},
		{"a packet is reported, and the next after the drain is, too",
			[]step{packet, told, take, drain, rearm, notTold, packet, told}},
		{"a slow loop is told once",
			[]step{packet, take, packet, packet, notTold, drain, rearm, notTold}},
		{"a loop that has not come yet is told once",
			[]step{packet, packet, told, take, notTold}},
		{"a packet between the last read and the word of it is reported",
			[]step{packet, take, drain, packet, rearm, told}},
		{"a drain without a report costs one look and tells the loop nothing twice",
			[]step{rearm, packet, told, take, notTold, drain, rearm, notTold, packet, told}},
		{"two drains without a report are one",
			[]step{rearm, rearm, packet, take, packet, notTold, drain, rearm, packet, told}},
		{"after a drain without a report nothing is lost",
			[]step{drain, rearm, packet, take, drain, rearm, packet, told}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, q := newReadiness(nil), newQueue()
				ended := make(chan error, 1)
				go func() { ended <- r.watch(context.Background(), q.look) }()
				defer func() {
					close(r.closed)
					q.put()
					if err := <-ended; err != nil {
						t.Error(err)
					}
				}()
				synctest.Wait()
				for i, s := range tt.steps {
					switch s {
					case packet:
						q.put()
					case take:
						select {
						case <-r.ready:
						default:
							t.Fatalf("step %d: there is no word to take", i)
						}
					case drain:
						q.empty()
					case rearm:
						r.rearm()
					case told, notTold:
						if got := len(r.ready) == 1; got != (s == told) {
							t.Errorf("step %d: not so: %s", i, s)
						}
					}
					synctest.Wait()
				}
			})
		})
	}
}

func TestWatchEndsWithItsContextWhileTheLoopIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, q := newReadiness(nil), newQueue()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.watch(ctx, q.look) }()
		q.put()
		<-r.ready
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
