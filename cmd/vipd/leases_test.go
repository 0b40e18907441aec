package main

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/election/lease"
)

// After a reload nothing is left of the connection to the former etcd, and nobody
// goes back there.
func TestAReloadLeavesTheFormerEtcd(t *testing.T) {
	l := &leases{}
	defer func() { _ = l.Close() }()
	var former net.Conn
	for range 2 {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = listener.Close() }()
		l.Use(config.Etcd{Endpoints: []string{"http://" + listener.Addr().String()}})
		go l.Call(t.Context(), agent.LeaseGroup{Cluster: "c", VIP: "v"}, lease.Order{Kind: lease.Renew, Timeout: time.Second})
		conn, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if former == nil {
			former = conn
		} else {
			defer func() { _ = conn.Close() }()
		}
	}
	_ = former.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.Copy(io.Discard, former); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection to the former etcd stayed open")
	}
	_ = former.Close()
}
