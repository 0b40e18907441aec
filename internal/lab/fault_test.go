package lab_test

import (
	"errors"
	"net"
	"os"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/labtest"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestFaults(t *testing.T) {
	l := labtest.New(t, lab.Options{Hosts: 3})
	cp1, cp2, cp3 := l.Hosts[0], l.Hosts[1], l.Hosts[2]
	ears := make(map[*lab.Host]net.PacketConn)
	for _, h := range l.Hosts {
		ears[h] = listen(t, h)
	}
	// An arrow is a datagram from the first host that the second one got.
	all := []string{"cp1>cp2", "cp1>cp3", "cp2>cp1", "cp2>cp3", "cp3>cp1", "cp3>cp2"}
	tests := []struct {
		name   string
		faults []lab.Fault
		want   []string
	}{
		{"nothing broken: all hear all", nil, all},
		{"a cut cable: the host neither speaks nor hears", []lab.Fault{lab.CableCut(cp1)}, []string{"cp2>cp3", "cp3>cp2"}},
		{"a silent cut: the same", []lab.Fault{lab.SilentCut(cp1)}, []string{"cp2>cp3", "cp3>cp2"}},
		{"a mute host hears still", []lab.Fault{lab.Mute(cp1)}, []string{"cp2>cp1", "cp2>cp3", "cp3>cp1", "cp3>cp2"}},
		{"a deaf host is heard still", []lab.Fault{lab.Deaf(cp1)}, []string{"cp1>cp2", "cp1>cp3", "cp2>cp3", "cp3>cp2"}},
		{"one-way loss concerns one pair, one direction", []lab.Fault{lab.OneWay(cp1, cp2)}, []string{"cp1>cp3", "cp2>cp1", "cp2>cp3", "cp3>cp1", "cp3>cp2"}},
		{"a partition splits two sets", []lab.Fault{lab.Partition([]*lab.Host{cp1, cp2}, []*lab.Host{cp3})}, []string{"cp1>cp2", "cp2>cp1"}},
		{"two faults add up", []lab.Fault{lab.Mute(cp1), lab.Mute(cp2)}, []string{"cp3>cp1", "cp3>cp2"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var mends []func() error
			for _, f := range tt.faults {
				mend, err := l.Break(f)
				if err != nil {
					t.Fatal(err)
				}
				mends = append(mends, mend)
			}
			if diff := cmp.Diff(tt.want, arrows(t, l.Hosts, ears, tt.want)); diff != "" {
				t.Errorf("broken (-want +got):\n%s", diff)
			}
			for _, mend := range mends {
				if err := mend(); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(all, arrows(t, l.Hosts, ears, all)); diff != "" {
				t.Errorf("mended (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLossLosesSome(t *testing.T) {
	l := labtest.New(t, lab.Options{Hosts: 2})
	ear := listen(t, l.Hosts[1])
	if _, err := l.Break(lab.Loss(l.Hosts[0], 50)); err != nil {
		t.Fatal(err)
	}
	const shouts = 200
	heard := 0
	err := l.Hosts[0].Do(func() error {
		conn, err := net.DialUDP("udp4", &net.UDPAddr{IP: l.Hosts[0].Addr4.AsSlice()}, arrowGroup())
		if err != nil {
			return err
		}
		defer conn.Close()
		for i := range shouts {
			word := strconv.Itoa(i)
			if _, err := conn.Write([]byte(word)); err != nil {
				return err
			}
			if hears(t, ear, word, 5*time.Millisecond) {
				heard++
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// Each bound is seven standard deviations away.
	if heard < 50 || heard > 150 {
		t.Errorf("%d of %d frames arrived, want about half", heard, shouts)
	}
}

func TestLossOfAllIsRefused(t *testing.T) {
	l := labtest.New(t, lab.Options{Hosts: 2}, "ping")
	if _, err := l.Break(lab.Loss(l.Hosts[0], 100)); err == nil {
		t.Error("no error")
	}
	if err := ping(t, l.Hosts[0], l.Hosts[1].Addr4.String()); err != nil {
		t.Errorf("after a refused fault: %v", err)
	}
}

func TestHealMendsAllFaults(t *testing.T) {
	l := labtest.New(t, lab.Options{Hosts: 2}, "ping")
	for _, f := range []lab.Fault{lab.CableCut(l.Hosts[0]), lab.SilentCut(l.Hosts[0]), lab.Mute(l.Hosts[1])} {
		if _, err := l.Break(f); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Heal(); err != nil {
		t.Fatal(err)
	}
	if err := ping(t, l.Hosts[0], l.Hosts[1].Addr4.String()); err != nil {
		t.Error(err)
	}
}

func TestOnlyACableCutTakesCarrier(t *testing.T) {
	l := labtest.New(t, lab.Options{Hosts: 1})
	tests := []struct {
		fault lab.Fault
		want  bool
	}{
		{lab.CableCut(l.Hosts[0]), false},
		{lab.SilentCut(l.Hosts[0]), true},
	}
	for _, tt := range tests {
		t.Run(tt.fault.String(), func(t *testing.T) {
			if _, err := l.Break(tt.fault); err != nil {
				t.Fatal(err)
			}
			if got := carrier(t, l.Hosts[0]); got != tt.want {
				t.Errorf("carrier is %t, want %t", got, tt.want)
			}
			if err := l.Heal(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// arrowGroup is where the hosts of a fault test shout.
func arrowGroup() *net.UDPAddr {
	return &net.UDPAddr{IP: net.IPv4(224, 0, 0, 77), Port: 7777}
}

// listen opens the host's ear.
func listen(t *testing.T, h *lab.Host) net.PacketConn {
	t.Helper()
	var conn *net.UDPConn
	err := h.Do(func() error {
		eth0, err := net.InterfaceByName(h.Interface)
		if err != nil {
			return err
		}
		conn, err = net.ListenMulticastUDP("udp4", eth0, arrowGroup())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// arrows lets each host shout once and returns who heard whom. It waits for the
// arrows that should come; a frame that should not, would cross veths and bridge
// in microseconds and gets 20 ms.
func arrows(t *testing.T, hosts []*lab.Host, ears map[*lab.Host]net.PacketConn, expected []string) []string {
	t.Helper()
	var heard []string
	for _, speaker := range hosts {
		err := speaker.Do(func() error {
			conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: speaker.Addr4.AsSlice()})
			if err != nil {
				return err
			}
			defer conn.Close()
			_, err = conn.WriteTo([]byte(speaker.Name), arrowGroup())
			if errors.Is(err, syscall.ENETUNREACH) { // no carrier, no route
				return nil
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range hosts {
			if h == speaker {
				continue
			}
			arrow, patience := speaker.Name+">"+h.Name, 20*time.Millisecond
			if slices.Contains(expected, arrow) {
				patience = 10 * time.Second
			}
			if hears(t, ears[h], speaker.Name, patience) {
				heard = append(heard, arrow)
			}
		}
	}
	return heard
}

// hears says whether the name arrives at an ear in time.
func hears(t *testing.T, ear net.PacketConn, name string, patience time.Duration) bool {
	t.Helper()
	if err := ear.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	for {
		n, _, err := ear.ReadFrom(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return false
		}
		if err != nil {
			t.Fatal(err)
		}
		if string(buf[:n]) == name {
			return true
		}
	}
}

// carrier reads what the host's own kernel thinks of its cable.
func carrier(t *testing.T, h *lab.Host) bool {
	t.Helper()
	var lowerUp bool
	err := h.Do(func() error {
		eth0, err := netlink.LinkByName(h.Interface)
		if err != nil {
			return err
		}
		lowerUp = eth0.Attrs().RawFlags&unix.IFF_LOWER_UP != 0
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lowerUp
}
