package lab

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Fault is one way in which the segment can be broken. Faults add up.
type Fault struct {
	name string
	// down lists hosts whose port loses carrier.
	down []*Host
	// drops are the matches of frames that the switch does not forward; the words are nft(8)'s.
	drops []string
}

// String names the fault for people.
func (f Fault) String() string { return f.name }

// CableCut pulls the host's cable: both ends lose carrier.
func CableCut(h *Host) Fault {
	return Fault{name: "cable cut at " + h.Name, down: []*Host{h}}
}

// SilentCut loses all frames from and to the host, which keeps its carrier.
func SilentCut(h *Host) Fault {
	return Fault{name: "silent cut at " + h.Name, drops: []string{from(h), to(h)}}
}

// Mute loses all frames that the host sends.
func Mute(h *Host) Fault {
	return Fault{name: h.Name + " mute", drops: []string{from(h)}}
}

// Deaf loses all frames on their way to the host.
func Deaf(h *Host) Fault {
	return Fault{name: h.Name + " deaf", drops: []string{to(h)}}
}

// OneWay loses all frames from one host to another, in this direction only.
func OneWay(sender, receiver *Host) Fault {
	return Fault{
		name:  fmt.Sprintf("one-way loss from %s to %s", sender, receiver),
		drops: []string{from(sender) + " " + to(receiver)},
	}
}

// Partition splits the segment: hosts of different sets do not hear each other.
// A host in no set hears all.
func Partition(sets ...[]*Host) Fault {
	f := Fault{name: "partition"}
	for i, set := range sets {
		for _, other := range append(slices.Clone(sets[:i]), sets[i+1:]...) {
			for _, sender := range set {
				for _, receiver := range other {
					f.drops = append(f.drops, from(sender)+" "+to(receiver))
				}
			}
		}
	}
	return f
}

// Loss loses some of the frames in each direction of the host, at random: 1 to
// 99 percent of them.
func Loss(h *Host, percent int) Fault {
	chance := fmt.Sprintf(" numgen random mod 100 < %d", percent)
	return Fault{name: fmt.Sprintf("%d %% loss at %s", percent, h), drops: []string{from(h) + chance, to(h) + chance}}
}

func from(h *Host) string { return fmt.Sprintf("iifname %q", h.Name) }
func to(h *Host) string   { return fmt.Sprintf("oifname %q", h.Name) }

// faults is what is broken now, in the order of breaking.
type faults struct {
	next   int
	active []activeFault
}

type activeFault struct {
	id int
	Fault
}

// add returns the id by which the fault is removed.
func (fs *faults) add(f Fault) int {
	fs.next++
	fs.active = append(fs.active, activeFault{fs.next, f})
	return fs.next
}

func (fs *faults) remove(id int) {
	fs.active = slices.DeleteFunc(fs.active, func(f activeFault) bool { return f.id == id })
}

// isDown says whether some fault takes the host's carrier.
func (fs *faults) isDown(h *Host) bool {
	return slices.ContainsFunc(fs.active, func(f activeFault) bool { return slices.Contains(f.down, h) })
}

// ruleset is the switch's whole set of rules, to be loaded by `nft -f` in one
// transaction. The first two lines make an empty table whether or not it stood.
func (fs *faults) ruleset() string {
	var b strings.Builder
	b.WriteString("add table bridge faults\ndelete table bridge faults\n")
	b.WriteString("table bridge faults {\n\tchain forward {\n\t\ttype filter hook forward priority 0\n")
	for _, f := range fs.active {
		for _, match := range f.drops {
			fmt.Fprintf(&b, "\t\t%s drop\n", match)
		}
	}
	b.WriteString("\t}\n}\n")
	return b.String()
}

// Break breaks the segment. mend undoes this one fault and returns when the cable
// works again; it may be called twice.
func (l *Lab) Break(f Fault) (mend func() error, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	id := l.faults.add(f)
	if err := l.applyFaults(); err != nil {
		l.faults.remove(id)
		return nil, errors.Join(fmt.Errorf("break the segment (%s): %w", f, err), l.applyFaults())
	}
	return func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.faults.remove(id)
		if err := l.applyFaults(); err != nil {
			return fmt.Errorf("mend the segment (%s): %w", f, err)
		}
		return nil
	}, nil
}

// Heal undoes all faults.
func (l *Lab) Heal() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults.active = nil
	if err := l.applyFaults(); err != nil {
		return fmt.Errorf("heal the segment: %w", err)
	}
	return nil
}

// applyFaults brings the switch to what faults says. The caller holds mu.
func (l *Lab) applyFaults() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if _, err := l.Switch.RunInput(ctx, l.faults.ruleset(), "nft", "-f", "-"); err != nil {
		return err
	}
	for _, h := range l.plugged() {
		port, err := l.Switch.ns.links.LinkByName(h.Name)
		if err != nil {
			return fmt.Errorf("find the switch's port of %s: %w", h, err)
		}
		if l.faults.isDown(h) {
			err = l.Switch.ns.links.LinkSetDown(port)
		} else if err = l.Switch.ns.links.LinkSetUp(port); err == nil {
			err = l.awaitCable(ctx, h)
		}
		if err != nil {
			return fmt.Errorf("switch the port of %s: %w", h, err)
		}
	}
	return nil
}
