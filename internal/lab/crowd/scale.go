package crowd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/adverts"
	"github.com/vipd/vipd/internal/lab/bench"
)

// Scale is what a daemon takes with many groups, and how long all of them are
// without an owner when the owner's host dies.
type Scale struct {
	Subject Subject
	Groups  int
	// OwnerCPU and BackupCPU are percents of a core, with all groups on one host.
	OwnerCPU, BackupCPU float64
	// OwnerRSS and BackupRSS are bytes.
	OwnerRSS, BackupRSS uint64
	// Median and Most are the times between the last advert of the dead owner and
	// the first one of its successor, over all groups.
	Median, Most time.Duration
}

// patience is how long a daemon may take to own all groups.
const patience = time.Minute

// MeasureScale lets a daemon own groups on one of two hosts, watches what both
// take for a time, and kills the owner.
func MeasureScale(ctx context.Context, s Subject, groups int, watch time.Duration) (result Scale, err error) {
	result = Scale{Subject: s, Groups: groups}
	opening, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	seg, err := open(opening, s, 2, groups)
	if seg != nil {
		defer func() { err = errors.Join(err, seg.Close()) }()
	}
	if err != nil {
		return result, fmt.Errorf("%s with %d groups: %w", s.Name, groups, err)
	}
	if err := seg.watch(ctx, watch, &result); err != nil {
		return result, fmt.Errorf("%s with %d groups: %w", s.Name, groups, err)
	}
	if err := seg.killOwner(ctx, &result); err != nil {
		return result, fmt.Errorf("%s with %d groups: %w", s.Name, groups, err)
	}
	return result, nil
}

// watch measures what the daemons take once their start is over.
func (s *segment) watch(ctx context.Context, d time.Duration, into *Scale) error {
	const settling = 6 * time.Second // bursts of announcements, of the start
	if err := pause(ctx, settling); err != nil {
		return err
	}
	var before, after [2]lab.Usage
	began := time.Now()
	for i, p := range s.procs {
		var err error
		if before[i], err = p.Usage(); err != nil {
			return err
		}
	}
	if err := pause(ctx, d); err != nil {
		return err
	}
	took := time.Since(began)
	for i, p := range s.procs {
		var err error
		if after[i], err = p.Usage(); err != nil {
			return err
		}
	}
	percent := func(i int) float64 { return 100 * float64(after[i].CPU-before[i].CPU) / float64(took) }
	into.OwnerCPU, into.BackupCPU = percent(0), percent(1)
	into.OwnerRSS, into.BackupRSS = after[0].RSS, after[1].RSS
	return nil
}

// killOwner cuts the owner off and times the takeover of each group.
func (s *segment) killOwner(ctx context.Context, into *Scale) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cut := time.Now()
	if _, err := s.Break(lab.CableCut(s.Hosts[0])); err != nil {
		return err
	}
	first, err := s.awaitOwner(ctx, s.Hosts[1], cut, into.Groups)
	if err != nil {
		return err
	}
	all, err := adverts.Read(s.capture.File)
	if err != nil {
		return err
	}
	last := map[uint8]time.Time{}
	for _, a := range all {
		if a.From(s.Hosts[0].MAC) {
			last[a.VRID] = a.At
		}
	}
	gaps := make([]time.Duration, 0, len(first))
	for vrid, at := range first {
		gaps = append(gaps, at.Sub(last[vrid]))
	}
	into.Median, into.Most = quantiles(gaps)
	return nil
}

// mostCPU is what 100 groups may take of a core at adverts each second, percent.
const mostCPU = 3

// PrintScale writes the results as a table, and below it whether vipd meets its
// target.
func PrintScale(w io.Writer, results []Scale) error {
	rows := [][]string{{"groups on one interface", "takeover of all in ms, median/max", "CPU, owner/backup", "RSS, owner/backup"}}
	var targets string
	for _, r := range results {
		rows = append(rows, []string{
			fmt.Sprintf("%d: %s", r.Groups, r.Subject.Name),
			fmt.Sprintf("%d/%d", r.Median.Milliseconds(), r.Most.Milliseconds()),
			fmt.Sprintf("%.2f/%.2f %%", r.OwnerCPU, r.BackupCPU),
			fmt.Sprintf("%.1f/%.1f MB", float64(r.OwnerRSS)/1e6, float64(r.BackupRSS)/1e6),
		})
		if r.Subject.Vipd != "" && r.Groups == 100 && r.Subject.Interval == time.Second {
			targets += bench.Mark(r.OwnerCPU <= mostCPU && r.BackupCPU <= mostCPU,
				fmt.Sprintf("%s: 100 groups take at most %d %% of a core", r.Subject.Name, mostCPU),
				fmt.Sprintf("%.2f/%.2f %%", r.OwnerCPU, r.BackupCPU))
		}
	}
	_, err := io.WriteString(w, bench.Table(rows)+"\n"+targets)
	return err
}
