package alarm

import (
	"context"
	"testing"
	"time"
)

// running is an alarm whose Run runs until the test ends.
func running(t *testing.T) *Alarm {
	t.Helper()
	a, err := New()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := a.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return a
}

func TestRings(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   time.Duration
	}{
		{"when the time has passed", 20 * time.Millisecond},
		{"at once when that is now", 0},
		{"at once when that is past", -time.Hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := running(t)
			for range 3 { // it can be set again
				set := time.Now()
				a.Set(tt.in)
				<-a.Rings()
				if passed := time.Since(set); passed < tt.in {
					t.Errorf("rang after %v, set to %v", passed, tt.in)
				}
			}
		})
	}
}

func TestLastSettingCounts(t *testing.T) {
	a := running(t)
	a.Set(time.Hour)
	a.Set(time.Millisecond)
	<-a.Rings()

	// What was set off would ring before what is set then.
	a.Set(10 * time.Millisecond)
	a.Set(time.Hour)
	b := running(t)
	b.Set(20 * time.Millisecond)
	<-b.Rings()
	select {
	case <-a.Rings():
		t.Error("it rang for a time that was set anew")
	default:
	}
}

func TestSetAllocatesNothing(t *testing.T) {
	a := running(t)
	if n := testing.AllocsPerRun(100, func() { a.Set(time.Hour) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
