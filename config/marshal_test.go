package config

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseReadsBackWhatMarshalWrote(t *testing.T) {
	for seed := range uint64(200) {
		want := anyConfig(rand.New(rand.NewPCG(seed, 0)))
		file, err := Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Parse("vipd.yaml", file)
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, file)
		}
		if diff := cmp.Diff(want, got, addressesEqual()); diff != "" {
			t.Fatalf("seed %d: want -, got +:\n%s\nof:\n%s", seed, diff, file)
		}
	}
}

// anyConfig is a configuration that Parse could have made.
func anyConfig(r *rand.Rand) *Config {
	c := smallest()
	c.Node = pick(r, "cp1", "null", "0x1", "yes", "node.example.com", "1e3")
	c.Drain = Drain{Timeout: span{low: time.Second, high: time.Hour}.any(r), ShutdownTimeout: span{high: time.Minute}.any(r)}
	c.Metrics = Metrics{Listen: pick(r, "", ":9650", "[::1]:9650", "cp1:1"), WebConfig: pick(r, "", "/etc/vipd/web file.yaml")}
	if r.IntN(2) == 0 {
		c.Readiness = Readiness{Listen: pick(r, ":9652", "[::1]:9652"), DrainWait: span{high: 5 * time.Minute}.any(r)}
	}
	c.Control = Control{Socket: pick(r, "/run/vipd/vipd.sock", "/s: #1"), Group: pick(r, "", "1000", "null", "vipd-admin")}
	c.Log = Log{Level: pick(r, -4, c.Log.Level, 4, 8), Format: pick(r, LogText, LogJSON, LogJournal)}
	c.VIPs = nil
	for i := range 1 + r.IntN(4) {
		c.VIPs = append(c.VIPs, anyVIP(r, i))
	}
	return c
}

func anyVIP(r *rand.Rand, i int) VIP {
	v := smallest().VIPs[0]
	v.Name = pick(r, "vip", "true", "007") + strconv.Itoa(i)
	v.Addresses = []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(10 + i)}), netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(10 + i)})}
	if r.IntN(2) == 0 {
		slices.Reverse(v.Addresses)
	}
	v.Addresses = v.Addresses[:1+r.IntN(2)]
	v.Port = uint16(1 + r.IntN(65535))
	v.Endpoint = pick(r, "cluster.example.com:6443", "[2001:db8::1]:443")
	v.Interface = pick(r, "", "eth0", "null", "bond0.12")
	v.Notify = pick(r, nil, []string{"/bin/tell", "", "null", "two\nlines"})
	v.TrackInterfaces = pick(r, nil, []string{"eth1", "~"})
	v.Fence = span{low: 0, high: time.Minute, step: time.Second}.any(r)
	v.VRRP = VRRP{
		VRID:              uint8(1 + i),
		Version:           3,
		AdvertInterval:    span{low: 10 * time.Millisecond, high: 40950 * time.Millisecond, step: 10 * time.Millisecond}.any(r),
		Priority:          uint8(128 + r.IntN(127)),
		UnhealthyPriority: uint8(2 + r.IntN(126)),
		Preempt:           pick(r, PreemptBand, PreemptAlways, PreemptNever),
		StartupDelay:      delay().any(r),
		PeersFile:         pick(r, "", "/etc/vipd/peers"),
		Checksum:          pick(r, ChecksumAuto, ChecksumPseudoHeader, ChecksumRFC9568),
	}
	if v.VRRP.Preempt == PreemptAlways {
		v.VRRP.PreemptDelay = delay().any(r)
	}
	if v.Addresses[0].Is4() && r.IntN(2) == 0 {
		v.VRRP.Peers = []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")}
	}
	v.VRRP.EtcdPeers = r.IntN(2) == 0
	v.GARP = GARP{Burst: 1 + r.IntN(100), Refresh: pick(r, 0, time.Second, 90*time.Minute)}
	v.Handover = Handover{Preserve: r.IntN(2) == 0, Grace: pick(r, 5*time.Second, 90*time.Minute)}
	v.UnhealthyDelay = delay().any(r)
	v.Health = nil
	for j := range r.IntN(5) {
		v.Health = append(v.Health, anyCheck(r, j))
	}
	return v
}

func anyCheck(r *rand.Rand, i int) Check {
	c := Check{
		Name:     pick(r, "check", "1e", "0x") + strconv.Itoa(i),
		Interval: span{low: 10 * time.Millisecond, high: time.Hour}.any(r),
		Timeout:  span{low: 10 * time.Millisecond, high: time.Minute}.any(r),
		Rise:     1 + r.IntN(100),
		Fall:     1 + r.IntN(100),
	}
	switch c.Type = pick(r, checkTypes()...); c.Type {
	case CheckHTTPS:
		c.URL = pick(r, "https://127.0.0.1:6443/readyz", "https://[::1]/?a=b&c")
		c.LivenessURL = pick(r, "", "https://127.0.0.1:6443/livez")
		switch r.IntN(4) {
		case 0:
			c.Insecure = true
		case 1:
			c.Kubeconfig = "/etc/kubernetes/admin.conf"
		case 2:
			c.CAFile, c.CertFile, c.KeyFile, c.ServerName = "/ca", "/cert", "/key", "kubernetes"
		}
	case CheckHTTP:
		c.URL = "http://localhost:8080"
	case CheckTCP:
		c.Address = pick(r, "localhost:22", "[fe80::1%eth0]:1")
	case CheckExec:
		c.Command = []string{"/bin/sh", pick(r, "", " ", "null", "\n", "two\nlines\n\n", "\t\ttab", "\r", "\u2028\ufeff\u0085", "'\"#: -", "é😀", "\x7f\x1b", "- a", "%", "!!int", "&a")}
	}
	return c
}

func pick[V any](r *rand.Rand, of ...V) V { return of[r.IntN(len(of))] }

// any is a duration of the span.
func (s span) any(r *rand.Rand) time.Duration {
	step := max(s.step, time.Nanosecond)
	return s.low + time.Duration(r.Int64N(int64((s.high-s.low)/step)+1))*step
}
