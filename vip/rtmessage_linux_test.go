package vip

import (
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestUp(t *testing.T) {
	const admin, carrier = unix.IFF_UP, unix.IFF_LOWER_UP
	tests := []struct {
		name  string
		flags uint32
		state netlink.LinkOperState
		want  bool
	}{
		{"set up, carrier, operational", admin | carrier, netlink.OperUp, true},
		{"driver without an operational state", admin | carrier, netlink.OperUnknown, true},
		{"carrier lost leaves IFF_UP set", admin, netlink.OperDown, false},
		{"carrier lost, driver without an operational state", admin, netlink.OperUnknown, false},
		{"not set up", carrier, netlink.OperUp, false},
		{"dormant: 802.1X has not let us in", admin | carrier, netlink.OperDormant, false},
		{"the device below is down", admin | carrier, netlink.OperLowerLayerDown, false},
	}
	for _, tt := range tests {
		got := state(&netlink.LinkAttrs{RawFlags: tt.flags, OperState: tt.state})
		if got.Up != tt.want {
			t.Errorf("%s: up %v", tt.name, got.Up)
		}
	}
}

func TestValidLifetime(t *testing.T) {
	tests := []struct {
		name     string
		lifetime time.Duration
		want     uint32
	}{
		{"none is forever", 0, 0xffffffff},
		{"whole seconds", 3 * time.Second, 3},
		{"never longer than asked for", 3*time.Second - 1, 2},
		{"longer than the kernel counts is not forever", 1 << 62, 0xfffffffe},
	}
	for _, tt := range tests {
		if got := validLifetime(tt.lifetime); got != tt.want {
			t.Errorf("%s: %v is %d, want %d", tt.name, tt.lifetime, got, tt.want)
		}
	}
}
