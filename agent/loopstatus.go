package agent

import "slices"

// LoopStatus is how punctual the daemon was since it started.
type LoopStatus struct {
	// Late counts how often a deadline was served more than an advert interval too
	// late.
	Late uint64 `json:"late_total"`
	// LagSeconds99 is an upper bound of the lateness in 99 of 100 cases.
	LagSeconds99 float64 `json:"lag_seconds_99"`
}

func (l *LoopCounters) status() LoopStatus {
	return LoopStatus{Late: l.Late.Load(), LagSeconds99: l.Lag.bound99()}
}

// bound99 is the upper bound, in seconds, below which 99 of 100 observations lie;
// that of the last bucket if they do not lie below any. 0: nothing was observed.
func (h *Histogram) bound99() float64 {
	count, _, cumulative := h.Snapshot()
	if count == 0 {
		return 0
	}
	bounds := make([]float64, 0, len(cumulative))
	for bound := range cumulative {
		bounds = append(bounds, bound)
	}
	slices.Sort(bounds)
	for _, bound := range bounds {
		if cumulative[bound]*100 >= count*99 {
			return bound
		}
	}
	return bounds[len(bounds)-1]
}
