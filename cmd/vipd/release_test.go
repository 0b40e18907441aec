package main

import (
	"context"
	"errors"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/internal/instance"
)

// host is a host's addresses, by interface.
type host struct {
	addresses map[string][]netip.Addr
	// stuck is an interface that lets nothing go.
	stuck string
}

func (h *host) Find(addrs []netip.Addr) (map[string][]netip.Addr, error) {
	found := map[string][]netip.Addr{}
	for name, there := range h.addresses {
		for _, a := range there {
			if slices.Contains(addrs, a) {
				found[name] = append(found[name], a)
			}
		}
	}
	return found, nil
}

func (h *host) Release(_ context.Context, name string, addrs []netip.Addr) error {
	if name == h.stuck {
		return errors.New("release from " + name + ": operation not permitted")
	}
	h.addresses[name] = slices.DeleteFunc(h.addresses[name], func(a netip.Addr) bool { return slices.Contains(addrs, a) })
	return nil
}

func (h *host) Close() error { return nil }

// rules are a host's rules for open connections.
type rules struct{ removed bool }

func (r *rules) Remove(context.Context) error { r.removed = true; return nil }

func (r *rules) Close() error { return nil }

func addrs(texts ...string) []netip.Addr {
	all := make([]netip.Addr, len(texts))
	for i, text := range texts {
		all[i] = netip.MustParseAddr(text)
	}
	return all
}

func TestRelease(t *testing.T) {
	tests := []struct {
		name string
		host host
		want exit
		out  string
		err  string
		left map[string][]netip.Addr
	}{
		{"nothing is left behind", host{addresses: map[string][]netip.Addr{"eth0": addrs("192.0.2.11")}}, exitDone,
			"Nothing to remove: no VIP of CONFIG is on this host.\n", "", map[string][]netip.Addr{"eth0": addrs("192.0.2.11")}},
		{"VIPs on two interfaces go, other addresses stay",
			host{addresses: map[string][]netip.Addr{"eth0": addrs("192.0.2.11", "192.0.2.10"), "lo": addrs("192.0.2.10", "127.0.0.1")}}, exitDone,
			"Removed 192.0.2.10 from eth0.\nRemoved 192.0.2.10 from lo.\n", "",
			map[string][]netip.Addr{"eth0": addrs("192.0.2.11"), "lo": addrs("127.0.0.1")}},
		{"one interface that fails does not keep the other's",
			host{addresses: map[string][]netip.Addr{"eth0": addrs("192.0.2.10"), "lo": addrs("192.0.2.10")}, stuck: "eth0"}, exitFailed,
			"Removed 192.0.2.10 from lo.\n", "release from eth0: operation not permitted",
			map[string][]netip.Addr{"eth0": addrs("192.0.2.10"), "lo": {}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newRun(t)
			r.openHolder = func() (holder, error) { return &test.host, nil }
			rules := &rules{}
			r.openRules = func(string) (remover, error) { return rules, nil }
			path, _ := minimal(t)
			if code := r.command(t.Context(), "release", "--config", path); code != test.want {
				t.Errorf("exit code %d, want %d", code, test.want)
			}
			if diff := cmp.Diff(strings.ReplaceAll(test.out, "CONFIG", path), r.out.String()); diff != "" {
				t.Errorf("stdout (-want +got):\n%s", diff)
			}
			if !strings.Contains(r.err.String(), test.err) {
				t.Errorf("stderr does not say %q:\n%s", test.err, &r.err)
			}
			if !rules.removed {
				t.Error("the rules were left")
			}
			same := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
			if diff := cmp.Diff(test.left, test.host.addresses, same); diff != "" {
				t.Errorf("left on the host (-want +got):\n%s", diff)
			}
		})
	}
}

// TestReleaseRefusesByTheLock: a daemon that is starting or frozen may have no
// socket yet.
func TestReleaseRefusesByTheLock(t *testing.T) {
	r := newRun(t)
	r.openRules = func(string) (remover, error) { t.Error("rules were touched"); return &rules{}, nil }
	r.openHolder = func() (holder, error) {
		t.Error("the host was touched")
		return &host{}, nil
	}
	path, socket := minimal(t)
	lock, err := instance.Acquire(filepath.Dir(socket))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	if code := r.command(t.Context(), "release", "--config", path); code != exitFailed {
		t.Errorf("exit code %d, want %d", code, exitFailed)
	}
	if !strings.Contains(r.err.String(), "systemctl stop vipd") {
		t.Errorf("stderr: %s", &r.err)
	}
}
