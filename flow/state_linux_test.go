package flow

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"
)

// A client port is used again, within a minute, for a connection to another
// node: the TIME_WAIT here must not answer for the live connection there.
func TestTimeWaitDoesNotAnswerForAnotherNode(t *testing.T) {
	for _, vip := range vips {
		t.Run(vip.String(), func(t *testing.T) {
			const from = 45678
			c := newCluster(t, "a", "b")
			c.move("b")
			// The server ends first, so TIME_WAIT is on its side.
			conn, _, err := c.client.dialFrom(from, vip, c.port)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.nodes["b"].server.of(conn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Fatalf("the server did not end: %v", err)
			}
			conn.Close()
			await(t, "TIME_WAIT on b", func() bool { return c.nodes["b"].states(c.port)[TimeWait] > 0 })

			c.move("a")
			conn, by, err := c.client.dialFrom(from, vip, c.port)
			if err != nil || by != "a" {
				t.Fatalf("from the same port again: %s answers, %v", by, err)
			}
			defer conn.Close()
			c.move("b")
			if c.nodes["b"].states(c.port)[TimeWait] == 0 {
				t.Fatal("no TIME_WAIT on b any more: nothing is tested")
			}
			retransmitted := retransmissions(t, conn)
			for range 20 {
				if err := echo(conn, "still there"); err != nil {
					t.Fatalf("after the move back: %v", err)
				}
			}
			if now := retransmissions(t, conn); now > retransmitted {
				t.Errorf("%d retransmissions: the connection was stalled", now-retransmitted)
			}
		})
	}
}

// @seen of an earlier ownership must not claim a connection that was closed here
// and opened again, from the same port, elsewhere.
func TestSeenIsForgottenByANewOwner(t *testing.T) {
	for _, vip := range vips {
		t.Run(vip.String(), func(t *testing.T) {
			const from = 45679
			c := newCluster(t, "a", "b")
			conn, _, err := c.client.dialFrom(from, vip, c.port)
			if err != nil {
				t.Fatal(err)
			}
			abort(t, conn)
			c.move("b")
			conn, by, err := c.client.dialFrom(from, vip, c.port)
			if err != nil || by != "b" {
				t.Fatalf("from the same port again: %s answers, %v", by, err)
			}
			defer conn.Close()
			c.move("a")
			for range 20 {
				if err := echo(conn, "still there"); err != nil {
					t.Fatalf("after the move back: %v", err)
				}
			}
		})
	}
}

// Another VIP's entries stay when one VIP gets a new owner.
func TestSeenOfOtherVIPsStays(t *testing.T) {
	c := newCluster(t, "a")
	a := c.nodes["a"]
	other := netip.MustParseAddr("192.0.2.9")
	c.client.must(vip4, c.port, "a")
	groups := append(c.state(a), Group{
		Name: "other", Interface: "eth0", Addresses: []netip.Addr{other}, Port: c.port, Role: Owner, Lifetime: time.Minute,
	})
	if err := a.flow.Apply(t.Context(), groups); err != nil {
		t.Fatal(err)
	}
	list, err := a.flow.tables.elements(a.flow.rulesets[familyOf(vip4)], setSeen)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 1 || opened(list[0].key, false) != vip4 {
		t.Errorf("seen: %v; want one of %s", list, vip4)
	}
}

// Connections that one side has closed already carry the rest.
func TestHalfClosedConnectionsComplete(t *testing.T) {
	rows := []struct {
		name        string
		closeFirst  func(client, server *net.TCPConn) error
		writeAfter  func(client, server *net.TCPConn) net.Conn
		readAtOther func(client, server *net.TCPConn) net.Conn
	}{
		{"closed by the client before the move, the server still sends",
			func(client, _ *net.TCPConn) error { return client.CloseWrite() },
			func(_, server *net.TCPConn) net.Conn { return server },
			func(client, _ *net.TCPConn) net.Conn { return client }},
		{"closed by the server before the move, the client still sends",
			func(_, server *net.TCPConn) error { return server.CloseWrite() },
			func(client, _ *net.TCPConn) net.Conn { return client },
			func(_, server *net.TCPConn) net.Conn { return server }},
	}
	for _, row := range rows {
		for _, vip := range vips {
			t.Run(row.name+", "+vip.String(), func(t *testing.T) {
				c := newCluster(t, "a", "b")
				client, server := c.rawConnection(vip, "a")
				if err := row.closeFirst(client, server); err != nil {
					t.Fatal(err)
				}
				c.move("b")
				sent := bytes.Repeat([]byte("0123456789"), 3000)
				writer := row.writeAfter(client, server)
				if _, err := writer.Write(sent); err != nil {
					t.Fatal(err)
				}
				if err := writer.(*net.TCPConn).CloseWrite(); err != nil {
					t.Fatal(err)
				}
				reader := row.readAtOther(client, server)
				if err := reader.SetReadDeadline(time.Now().Add(patience)); err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(reader)
				if err != nil || !bytes.Equal(got, sent) {
					t.Errorf("%d of %d bytes came through: %v", len(got), len(sent), err)
				}
			})
		}
	}
}

// Data that is still in the queue of a closed socket arrives.
func TestDataQueuedInFinWait1Arrives(t *testing.T) {
	for _, vip := range vips {
		t.Run(vip.String(), func(t *testing.T) {
			c := newCluster(t, "a", "b")
			client, server := c.rawConnection(vip, "a")
			if err := client.SetReadBuffer(4096); err != nil {
				t.Fatal(err)
			}
			sent := bytes.Repeat([]byte("0123456789"), 20000)
			if err := server.SetWriteBuffer(2 * len(sent)); err != nil {
				t.Fatal(err)
			}
			if _, err := server.Write(sent); err != nil {
				t.Fatal(err)
			}
			server.Close()
			await(t, "FIN_WAIT_1 on a", func() bool { return c.nodes["a"].states(c.port)[FinWait1] == 1 })
			c.move("b")
			if n := c.nodes["a"].count(vips, c.port).Count; n != 1 {
				t.Errorf("%d connections count, want the one with data in its queue", n)
			}
			if err := client.SetReadDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(client)
			if err != nil || !bytes.Equal(got, sent) {
				t.Errorf("%d of %d bytes came through: %v", len(got), len(sent), err)
			}
		})
	}
}

// rawConnection opens a connection that nobody answers by itself, and returns
// both ends.
func (c *cluster) rawConnection(vip netip.Addr, name string) (client, server *net.TCPConn) {
	c.t.Helper()
	s := c.nodes[name].server
	s.silent.Store(true)
	client = c.client.must(vip, c.port, name)
	s.silent.Store(false)
	if err := client.SetDeadline(time.Time{}); err != nil {
		c.t.Fatal(err)
	}
	server = s.of(client)
	c.t.Cleanup(func() { server.Close() })
	return client, server
}
