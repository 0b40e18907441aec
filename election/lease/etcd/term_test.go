package etcd

import (
	"context"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/vipd/vipd/election/lease"
	"github.com/vipd/vipd/election/lease/etcd/etcdtest"
)

// changing is an etcd that keeps leases alive in one term of Raft and answers the
// quorum's questions in another.
type changing struct {
	pb.UnimplementedLeaseServer
	pb.UnimplementedKVServer
	kept, read uint64
}

func (c *changing) LeaseKeepAlive(s pb.Lease_LeaseKeepAliveServer) error {
	for {
		question, err := s.Recv()
		if err != nil {
			return nil // the client has what it wanted
		}
		if err := s.Send(&pb.LeaseKeepAliveResponse{Header: &pb.ResponseHeader{RaftTerm: c.kept}, ID: question.ID, TTL: 3}); err != nil {
			return err
		}
	}
}

func (c *changing) Txn(context.Context, *pb.TxnRequest) (*pb.TxnResponse, error) {
	return nobodyOwns(&pb.ResponseHeader{RaftTerm: c.read, Revision: 7}), nil
}

// nobodyOwns answers a question for the owner key.
func nobodyOwns(h *pb.ResponseHeader) *pb.TxnResponse {
	read := &pb.ResponseOp{Response: &pb.ResponseOp_ResponseRange{ResponseRange: &pb.RangeResponse{}}}
	return &pb.TxnResponse{Header: h, Succeeded: true, Responses: []*pb.ResponseOp{read}}
}

func TestARenewalCountsIfTheLeaderStayedTheSame(t *testing.T) {
	for _, row := range []struct {
		name  string
		etcd  *changing
		count bool
	}{
		{"kept and read in one term", &changing{kept: 4, read: 4}, true},
		{"kept by a leader that has a successor", &changing{kept: 4, read: 5}, false},
		{"read from a member that lags behind", &changing{kept: 5, read: 4}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			at, _ := etcdtest.Serve(t, "", func(s *grpc.Server) {
				pb.RegisterLeaseServer(s, row.etcd)
				pb.RegisterKVServer(s, row.etcd)
			})
			client, err := Open(Config{Endpoints: []string{"http://" + at}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := client.Close(); err != nil {
					t.Error(err)
				}
			})
			got := NewLeases(client).Call(t.Context(), Group{Cluster: "kubernetes", VIP: "apiserver"},
				lease.Order{Kind: lease.Renew, Number: 1, Lease: 12, Timeout: 20 * time.Second})
			if got.Done != row.count || (got.Err == nil) != row.count {
				t.Errorf("got %+v, want it to count: %v", got, row.count)
			}
		})
	}
}
