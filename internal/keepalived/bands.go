package keepalived

import "fmt"

// vipd's bands of the priority byte.
const (
	healthyLow, healthyHigh     = 128, 254
	unhealthyLow, unhealthyHigh = 2, 127
)

// bandsExplained says why priorities change.
const bandsExplained = "Priorities: vipd has 128 to 254 for healthy nodes, 2 to 127 for unhealthy ones, and no owner by right (255). So 127 is added to " +
	"those below 128, which keeps their order; if another node of the group has 128 or more, choose by hand, in the order of now. " +
	"Give keepalived on all nodes the same numbers by a reload before the first node changes (docs/migration.md)"

// bands are the priorities of a node in vipd's bands.
type bands struct {
	healthy int
	// unhealthy is 0 where vipd's default does.
	unhealthy int
}

// banded puts a priority of keepalived and the weights of its checks into
// bands: what the node has while all checks succeed, and while all fail. The
// change is empty if the number stays.
func banded(priority int, weights []int) (b bands, change string) {
	best, worst := priority, priority
	for _, w := range weights {
		best += max(w, 0)
		worst += min(w, 0)
	}
	best = min(max(best, 1), 255)
	if worst < best && worst >= unhealthyLow && worst <= unhealthyHigh {
		b.unhealthy = worst
	}
	switch {
	case best > healthyHigh:
		b.healthy = healthyHigh
	case best >= healthyLow:
		b.healthy = best
		return b, ""
	default:
		b.healthy = best + healthyLow - 1
	}
	return b, fmt.Sprintf("priority %d becomes %d", best, b.healthy)
}
