package e2e

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/arp"
	"github.com/mdlayher/packet"
	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/election"
	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/scene"
	"golang.org/x/sys/unix"
)

func TestAddressesAreMeddledWith(t *testing.T) {
	s := open(t, setup{config: func(*lab.Host) config { return config{keys: []string{"interface: eth0"}} }})
	vip := s.VIP().Addr()

	s.part("someone deletes the VIP: it is put back without a move", func(s *stage) {
		owner := s.settle()
		before := s.histories()
		s.run(owner, "ip", "address", "delete", vip.String()+"/32", "dev", "eth0")
		s.await("the VIP to be put back and counted", func() error {
			if n := s.metric(owner, `vipd_vip_restored_total{vip="apiserver"}`); n != 1 {
				return fmt.Errorf("vipd_vip_restored_total is %v", n)
			}
			return s.heldBy(vip, owner)
		})
		s.settleOn(owner)
		if diff := cmp.Diff(before, s.histories()); diff != "" {
			s.t.Errorf("states changed (-before +after):\n%s", diff)
		}
	})
	s.part("the node's own address is deleted and added again: the VIP is no source address", func(s *stage) {
		owner := s.settle()
		own := owner.Addr4.String()
		// Another address keeps the node in office; its scope keeps it from being a source.
		s.run(owner, "ip", "address", "add", "10.79.0.1/24", "dev", "eth0", "scope", "link")
		s.run(owner, "ip", "address", "delete", own+"/24", "dev", "eth0")
		s.run(owner, "ip", "address", "add", own+"/24", "dev", "eth0")
		s.run(owner, "ip", "route", "add", "192.0.2.0/24", "dev", "eth0", "scope", "global")
		s.await("the VIP to come behind the node's own address", func() error {
			if route := s.run(owner, "ip", "route", "get", "192.0.2.1"); !strings.Contains(route, "src "+own+" ") {
				return fmt.Errorf("route: %s", route)
			}
			return nil
		})
		s.settleOn(owner)
	})
	s.part("the node's only address is deleted: the VIP moves, and does not when the address returns", func(s *stage) {
		o := s.try(addressless())
		s.moved(o, agent.StateFault, election.NoAddress, election.OwnerSilent, election.OwnerResigned)
		s.awaitHeld(vip, o.Successor)
		s.mend(o)
		s.settleOn(o.Successor)
	})
	s.part("the owner's interface flaps: one owner is left", func(s *stage) {
		owner := s.settle()
		s.run(owner, "ip", "link", "set", "eth0", "down")
		s.run(owner, "ip", "link", "set", "eth0", "up")
		s.settle()
	})
	s.part("another station claims the VIP: clients are led back, and the duplicate is told", func(s *stage) {
		owner := s.settle()
		before := s.histories()
		since := time.Now()
		s.must(claim(s.others(owner)[0], vip, net.HardwareAddr{2, 0, 0, 0, 0x99, 0x99}))
		s.await("the owner to announce the VIP again", func() error {
			claims, err := s.Claims.Since(since)
			if err == nil && !slices.ContainsFunc(claims, func(c scene.Claim) bool { return c.Host == owner }) {
				err = errors.New("not heard")
			}
			return err
		})
		s.servedBy(owner, 50)
		s.awaitGroup(owner, "an owner that knows of a duplicate", func(v agent.VIPStatus) bool { return v.DuplicateOwner })
		if n := s.metric(owner, `vipd_vip_duplicate_owners_total{vip="apiserver"}`); n != 1 {
			s.t.Errorf("vipd_vip_duplicate_owners_total is %v, want 1", n)
		}
		s.settleOn(owner)
		if diff := cmp.Diff(before, s.histories()); diff != "" {
			s.t.Errorf("states changed (-before +after):\n%s", diff)
		}
	})
}

// addressless is the trial of a host that loses its IPv4 addresses.
func addressless() scene.Trial {
	return scene.Trial{Name: "loss of its own address", Harm: func(ctx context.Context, _ *scene.Scene, owner *lab.Host) (func(context.Context) error, error) {
		own := owner.Addr4.String() + "/24"
		_, err := owner.Run(ctx, "ip", "-4", "address", "flush", "dev", "eth0", "to", "10.79.0.0/24")
		if err == nil {
			_, err = owner.Run(ctx, "ip", "address", "delete", own, "dev", "eth0")
		}
		return func(ctx context.Context) error {
			_, err := owner.Run(ctx, "ip", "address", "add", own, "dev", "eth0")
			return err
		}, err
	}}
}

// claim sends a gratuitous ARP for an address from a host, in the name of a station
// that does not exist.
func claim(from *lab.Host, addr netip.Addr, station net.HardwareAddr) error {
	everybody := net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	announcement, err := arp.NewPacket(arp.OperationRequest, station, addr, net.HardwareAddr{0, 0, 0, 0, 0, 0}, addr)
	if err != nil {
		return err
	}
	payload, err := announcement.MarshalBinary()
	if err != nil {
		return err
	}
	frame := slices.Concat(everybody, station, binary.BigEndian.AppendUint16(nil, unix.ETH_P_ARP), payload)
	return from.Do(func() error {
		eth0, err := net.InterfaceByName(from.Interface)
		if err != nil {
			return err
		}
		conn, err := packet.Listen(eth0, packet.Raw, unix.ETH_P_ARP, nil)
		if err != nil {
			return err
		}
		_, err = conn.WriteTo(frame, &packet.Addr{HardwareAddr: everybody})
		return errors.Join(err, conn.Close())
	})
}
