package agent

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// crowded is a configuration with so many groups and no health checks.
func crowded(groups int) string {
	var b strings.Builder
	b.WriteString("vips:\n")
	for n := range groups {
		fmt.Fprintf(&b, "  - {name: g%d, addresses: [192.0.2.%d], health: []}\n", n+1, n+20)
	}
	return b.String()
}

// Groups share what a node has on an interface: they cost no socket and no
// goroutine of their own.
func TestGroupsShareSocketAndGoroutines(t *testing.T) {
	goroutines := map[int]int{}
	for _, groups := range []int{1, 200} {
		t.Run(fmt.Sprintf("%d groups", groups), func(t *testing.T) {
			hushedBubble(t, func(t *testing.T, l *lan) {
				before := runtime.NumGoroutine()
				a := l.node(11, crowded(groups))
				await(t, "it owns all", func() bool { return owned(a) == groups })
				synctest.Wait()
				if n := len(a.sockets); n != 1 {
					t.Errorf("%d advert sockets", n)
				}
				goroutines[groups] = runtime.NumGoroutine() - before
			})
		})
	}
	// The runtime begins one of its own now and then, for finalizers and the like.
	if goroutines[200] > goroutines[1]+10 {
		t.Errorf("goroutines by the number of groups: %v", goroutines)
	}
}

// All groups of an owner that dies are taken over, each within its time.
func TestTakeoverOfManyGroups(t *testing.T) {
	hushedBubble(t, func(t *testing.T, l *lan) {
		a := l.node(11, crowded(200))
		await(t, "the first node owns all", func() bool { return owned(a) == 200 })
		b := l.node(12, crowded(200))
		await(t, "the second one hears all", func() bool { return heard(b) == 200 })
		died := time.Now()
		a.powerOff()
		await(t, "the second one owns all", func() bool { return owned(b) == 200 })
		if took := time.Since(died); took > time.Second {
			t.Errorf("after %v", took)
		}
	})
}

// owned and heard count the groups that a node owns, and those of which it hears
// another owner.
func owned(n *node) int { return count(n, func(v VIPStatus) bool { return v.State == StateOwner }) }

func heard(n *node) int {
	return count(n, func(v VIPStatus) bool { return v.State == StateBackup && v.Owner != "" })
}

func count(n *node, is func(VIPStatus) bool) int {
	found := 0
	for _, v := range n.process.agent.Status().VIPs {
		if is(v) {
			found++
		}
	}
	return found
}
