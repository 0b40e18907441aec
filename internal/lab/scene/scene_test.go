package scene_test

import (
	"errors"
	"testing"
	"time"

	"github.com/vipd/vipd/internal/lab/daemon"
	"github.com/vipd/vipd/internal/lab/labtest"
	"github.com/vipd/vipd/internal/lab/scene"
)

// patience is for moves that take a second or two on an idle machine.
const patience = 20 * time.Second

// streams is how many the client keeps open.
const streams = 2

func TestMain(m *testing.M) { labtest.Main(m) }

// TestKeepalived shows that the scene tells the truth, with a daemon whose
// behaviour is known.
func TestKeepalived(t *testing.T) {
	labtest.Require(t, "keepalived")
	viplab := labtest.Self(t)
	s, err := scene.Open(labtest.Context(t, patience), scene.Options{
		Daemon:  daemon.Keepalived{Viplab: viplab, Interval: 100 * time.Millisecond},
		Viplab:  viplab,
		Every:   5 * time.Millisecond, // the race detector makes the processes slow
		Streams: streams,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	trials := []scene.Trial{
		scene.CableCut(), scene.SilentCut(), scene.PlannedStop(), scene.APIServerKilled(), scene.Crash(),
	}
	for _, trial := range trials {
		t.Run(trial.Name, func(t *testing.T) {
			o, err := s.Try(labtest.Context(t, patience), trial)
			if err != nil {
				t.Fatal(err)
			}
			if o.Seen.Failed == 0 || o.Seen.Outage == 0 {
				t.Errorf("the client saw no outage: %+v", o.Seen)
			}
			if o.Announced.Before(o.At) {
				t.Errorf("%s took over but was not heard to announce the VIP", o.Successor)
			}
			if o.Seen.Broken < streams {
				t.Errorf("keepalived broke only %d of %d streams", o.Seen.Broken, streams)
			}
			if err := o.Mend(labtest.Context(t, patience)); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Agree(labtest.Context(t, patience)); err != nil {
				t.Fatal(errors.Join(err, s.Logs()))
			}
			if err := s.ForgetNeighbours(labtest.Context(t, patience)); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Settle(labtest.Context(t, patience)); err != nil {
				t.Fatal(err)
			}
		})
	}
}
