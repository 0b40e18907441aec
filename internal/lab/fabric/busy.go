package fabric

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/vipd/vipd/internal/lab/bench"
	"github.com/vipd/vipd/internal/lab/router"
)

// busyLoops is how many processes do nothing but compute.
const busyLoops = 4

// Busy is how a subject's BFD stood a busy machine.
type Busy struct {
	Subject Subject
	// Alarms counts BFD sessions that were lost, though nothing was the matter.
	Alarms int
	// Gap is the longest time between two packets of a host.
	Gap time.Duration
	Err error
}

// BusyOptions of MeasureBusy.
type BusyOptions struct {
	Vipd, Viplab string
	// Watch is how long the processors are busy.
	Watch    time.Duration
	Progress io.Writer
}

// MeasureBusy has subjects watch a router that is on time, in real time, while
// busyLoops other processes want all processors.
func MeasureBusy(ctx context.Context, opts BusyOptions) []Busy {
	var all []Busy
	for _, every := range []time.Duration{50 * time.Millisecond, 10 * time.Millisecond} {
		for _, s := range []Subject{{FRR: true, BFD: every}, {BFD: every}} {
			fmt.Fprintf(opts.Progress, "%s, busy\n", s)
			b := Busy{Subject: s}
			b.Err = b.measure(ctx, opts)
			all = append(all, b)
		}
	}
	return all
}

func (b *Busy) measure(ctx context.Context, opts BusyOptions) (err error) {
	every := b.Subject.BFD
	opening, cancel := context.WithTimeout(ctx, patient)
	defer cancel()
	f, err := Open(opening, Options{
		Vipd: opts.Vipd, Viplab: opts.Viplab, HostFRR: b.Subject.FRR, BGP: []string{"return_delay: 0s"},
		Neighbor: []string{fmt.Sprintf("bfd: {enabled: true, transmit: %v, receive: %v}", every, every)},
		Peering:  router.Peering{BFD: &router.BFD{Interval: every, Multiplier: 3}, RealTime: true},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.ready(ctx); err != nil {
		return err
	}
	o, err := f.observe(ctx)
	if err != nil {
		return err
	}
	for range busyLoops {
		if _, err := f.Lab.Client.Start("loop", "sh", "-c", "while :; do :; done"); err != nil {
			return err
		}
	}
	select {
	case <-time.After(opts.Watch):
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := o.end(); err != nil {
		return err
	}
	words, err := readWords(o.atRouter.File)
	if err != nil {
		return err
	}
	b.Alarms = lost(words, func(word) bool { return false })
	for _, h := range f.Lab.Hosts {
		b.Gap = max(b.Gap, longestGap(words, f.own(h, false)))
	}
	return nil
}

// PrintBusy writes the results as a table, and below it whether vipd meets its
// target.
func PrintBusy(w io.Writer, results []Busy, watch time.Duration) error {
	rows := [][]string{{fmt.Sprintf("three hosts under %d busy loops, %v", busyLoops, watch), "false alarms", "longest gap between packets"}}
	var errs []error
	var targets string
	for _, b := range results {
		if b.Err != nil {
			errs = append(errs, fmt.Errorf("%s, busy: %w", b.Subject, b.Err))
			continue
		}
		rows = append(rows, []string{b.Subject.String(), strconv.Itoa(b.Alarms), fmt.Sprintf("%d ms", b.Gap.Milliseconds())})
		if !b.Subject.FRR {
			targets += bench.Mark(b.Alarms == 0, b.Subject.String()+": no false alarm", strconv.Itoa(b.Alarms))
		}
	}
	_, err := io.WriteString(w, bench.Table(rows)+"\n"+targets)
	return errors.Join(append(errs, err)...)
}
