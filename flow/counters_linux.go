package flow

import (
	"context"
	"fmt"
	"net/netip"
)

// Counters reads the packets of each VIP; one without any is missing.
func (f *Flow) Counters(ctx context.Context) (map[netip.Addr]Counters, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("read packet counters: %w", err)
	}
	all := map[netip.Addr]Counters{}
	for _, family := range families() {
		if !f.expected[family] {
			continue
		}
		intact, err := f.tables.look.intact(f.rulesets[family])
		if err == nil && intact {
			err = f.tables.counts(f.rulesets[family], all)
		}
		if err != nil {
			return nil, fmt.Errorf("read packet counters: %w", err)
		}
	}
	return all, nil
}
