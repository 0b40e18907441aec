package crowd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/vipd/vipd/internal/lab/adverts"
	"github.com/vipd/vipd/internal/lab/bench"
)

// Busy is how a daemon kept its adverts going on a busy machine.
type Busy struct {
	Subject Subject
	// Flaps counts changes of the owner for which there was no cause.
	Flaps int
	// Late is by how much the owner's adverts came later than the interval:
	// the middle and the worst.
	Median, Most time.Duration
	// Adverts is how many were seen.
	Adverts int
}

// busyLoops is how many processes do nothing but compute.
const busyLoops = 4

// MeasureBusy lets a daemon own one VIP on one of three hosts for a time in which
// busyLoops other processes want all processors.
func MeasureBusy(ctx context.Context, s Subject, d time.Duration) (result Busy, err error) {
	result = Busy{Subject: s}
	opening, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	seg, err := open(opening, s, 3, 1)
	if seg != nil {
		defer func() { err = errors.Join(err, seg.Close()) }()
	}
	if err != nil {
		return result, fmt.Errorf("%s on a busy machine: %w", s.Name, err)
	}
	const settling = 3 * time.Second
	if err := pause(ctx, settling); err != nil {
		return result, err
	}
	began := time.Now()
	for range busyLoops {
		if _, err := seg.Client.Start("loop", "sh", "-c", "while :; do :; done"); err != nil {
			return result, err
		}
	}
	if err := pause(ctx, d); err != nil {
		return result, err
	}
	if err := seg.capture.Stop(); err != nil {
		return result, err
	}
	all, err := adverts.Read(seg.capture.File)
	if err != nil {
		return result, err
	}
	result.judge(all, began)
	return result, nil
}

// judge reads flaps and lateness from the adverts since a time.
func (b *Busy) judge(all []adverts.Advert, began time.Time) {
	var late []time.Duration
	for i := 1; i < len(all); i++ {
		now, before := all[i], all[i-1]
		switch {
		case now.At.Before(began):
		case now.MAC != before.MAC:
			b.Flaps++
		default:
			late = append(late, max(0, now.At.Sub(before.At)-b.Subject.Interval))
		}
	}
	b.Adverts = len(late)
	b.Median, b.Most = quantiles(late)
}

// PrintBusy writes the results as a table, and below it whether vipd meets its
// target.
func PrintBusy(w io.Writer, results []Busy, d time.Duration) error {
	rows := [][]string{{fmt.Sprintf("under %d busy loops, %v", busyLoops, d), "changes of the owner", "adverts late by, median/max"}}
	var targets string
	for _, r := range results {
		rows = append(rows, []string{
			r.Subject.Name, strconv.Itoa(r.Flaps),
			fmt.Sprintf("%.1f/%.1f ms", milliseconds(r.Median), milliseconds(r.Most)),
		})
		// As its systemd unit starts it.
		if r.Subject.Vipd != "" && r.Subject.RealTime {
			targets += bench.Mark(r.Flaps == 0, r.Subject.Name+": no change of the owner", strconv.Itoa(r.Flaps))
		}
	}
	_, err := io.WriteString(w, bench.Table(rows)+"\n"+targets)
	return err
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
