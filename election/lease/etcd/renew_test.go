package etcd

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/vipd/vipd/election/lease"
	"github.com/vipd/vipd/election/lease/etcd/etcdtest"
)

// forgetful is a member that handed the first renewal to a leader that is gone.
type forgetful struct {
	pb.UnimplementedLeaseServer
	pb.UnimplementedKVServer
	asked atomic.Int32
}

func (f *forgetful) LeaseKeepAlive(stream pb.Lease_LeaseKeepAliveServer) error {
	if f.asked.Add(1) == 1 {
		<-stream.Context().Done()
		return stream.Context().Err()
	}
	question, err := stream.Recv()
	if err != nil {
		return err
	}
	return stream.Send(&pb.LeaseKeepAliveResponse{Header: &pb.ResponseHeader{}, ID: question.ID, TTL: 5})
}

func (f *forgetful) Txn(context.Context, *pb.TxnRequest) (*pb.TxnResponse, error) {
	return nobodyOwns(&pb.ResponseHeader{Revision: 7}), nil
}

func TestARenewalWithoutAnAnswerIsAskedForOnceMore(t *testing.T) {
	member := &forgetful{}
	at, _ := etcdtest.Serve(t, "", func(s *grpc.Server) {
		pb.RegisterLeaseServer(s, member)
		pb.RegisterKVServer(s, member)
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

	began := time.Now()
	const patience = 20 * time.Second
	a := NewLeases(client).Call(t.Context(), Group{Cluster: "kubernetes", VIP: "apiserver"}, lease.Order{Kind: lease.Renew, Lease: 1, TTL: 5 * time.Second, Timeout: patience})
	if a.Err != nil || a.Lease != 1 || a.TTL != 5*time.Second || a.Revision != 7 {
		t.Errorf("the answer is %+v", a)
	}
	// A lease counts from before the try that was answered, never from a later one.
	if got := a.Sent.Sub(began); got < renewAgain || got >= patience {
		t.Errorf("the lease counts from %v after the first try", got)
	}
}
