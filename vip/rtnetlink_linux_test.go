package vip

import (
	"errors"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestListingsThatChangeAreReadAgain(t *testing.T) {
	broken := errors.New("broken")
	tests := []struct {
		name        string
		interrupted int
		err, want   error
		reads       int
	}{
		{"undisturbed", 0, nil, nil, 1},
		{"interrupted twice", 2, nil, nil, 3},
		{"another error ends it", 1, broken, broken, 2},
		{"changes without end", 1 << 30, nil, netlink.ErrDumpInterrupted, listTries},
	}
	for _, tt := range tests {
		reads := 0
		got, err := settled(func() ([]int, error) {
			if reads++; reads <= tt.interrupted {
				return []int{0}, netlink.ErrDumpInterrupted
			}
			return []int{reads}, tt.err
		})
		if !errors.Is(err, tt.want) || reads != tt.reads {
			t.Errorf("%s: %v after %d reads", tt.name, err, reads)
		}
		if err == nil && (len(got) != 1 || got[0] != reads) {
			t.Errorf("%s: %v is not the last reading, %d", tt.name, got, reads)
		}
	}
}

func TestAlternativeNamesAreNone(t *testing.T) {
	node, _ := newSegment(t)
	names := []string{"enp0s1", "an-alternative-name-may-be-long"}
	for _, name := range names {
		node.ip("link", "property", "add", "dev", "eth0", "altname", name)
	}
	holder := node.holder()
	for _, name := range names {
		if _, err := holder.Hold(t.Context(), name, group, 0, noLimit); !errors.Is(err, unix.ENODEV) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
