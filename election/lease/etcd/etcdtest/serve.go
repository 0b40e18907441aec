// Package etcdtest serves tests that have an etcd of their own, which answers what
// they want it to.
package etcdtest

import (
	"net"
	"testing"

	"google.golang.org/grpc"
)

// Serve serves what register adds on a TCP address, until end is called or the test
// is over; an empty address is any of the loopback's. at is host:port.
func Serve(t *testing.T, address string, register func(*grpc.Server), options ...grpc.ServerOption) (at string, end func()) {
	t.Helper()
	if address == "" {
		address = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(options...)
	register(server)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // ends by Stop
	}()
	end = func() { server.Stop(); <-done }
	t.Cleanup(end)
	return listener.Addr().String(), end
}
