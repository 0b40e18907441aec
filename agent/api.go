package agent

import (
	"errors"
	"time"
)

// ErrStopping is returned by operations that come after the daemon began to
// stop.
var ErrStopping = errors.New("vipd is stopping")

// UnknownVIPError names a VIP that the configuration does not have.
type UnknownVIPError struct{ Name string }

func (e *UnknownVIPError) Error() string { return "no VIP is named " + e.Name + "; see vipd status" }

// DrainRequest asks this node to give VIPs up and never take them again.
type DrainRequest struct {
	// VIP is a name; empty: all.
	VIP string `json:"vip,omitempty"`
	// Timeout for a healthy successor; 0: the configured one.
	Timeout time.Duration `json:"timeout,omitempty"`
	// WaitConnections waits for connections that are open here to end, for
	// WaitLimit at the most (0: the group's grace).
	WaitConnections bool          `json:"wait_connections,omitempty"`
	WaitLimit       time.Duration `json:"wait_limit,omitempty"`
	// Force gives up even if no healthy successor is heard.
	Force bool `json:"force,omitempty"`
}

// DrainProgress is one line of a drain's story. The last one has a Result.
type DrainProgress struct {
	Time time.Time `json:"time"`
	// VIP is empty where the line concerns the node.
	VIP string `json:"vip,omitempty"`
	// Message is for people.
	Message string `json:"message"`
	// Owner is the VIP's owner, where one is heard.
	Owner string `json:"owner,omitempty"`
	// Result is set in the last line only.
	Result DrainResult `json:"result,omitempty"`
}

// DrainResult is how a drain ended.
type DrainResult string

const (
	// DrainDone tells that this node holds none of the VIPs and a healthy owner
	// is heard for each, or that it was forced.
	DrainDone DrainResult = "drained"
	// DrainReset is DrainDone, but connections that were waited for had to be ended.
	DrainReset DrainResult = "reset"
	// DrainNoSuccessor tells that no healthy successor was heard in time; nothing
	// changed.
	DrainNoSuccessor DrainResult = "no-successor"
	// DrainCancelled tells that the caller went away, or vipd undrain or a stop
	// came between; what had not moved was undone.
	DrainCancelled DrainResult = "cancelled"
)
