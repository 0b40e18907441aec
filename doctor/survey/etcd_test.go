package survey

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/doctor"
	"github.com/vipd/vipd/election/lease/etcd/etcdtest"
)

// etcdServer answers what this command asks.
type etcdServer struct {
	pb.UnimplementedClusterServer
	pb.UnimplementedMaintenanceServer
	pb.UnimplementedKVServer
	errors []string
	// statusErr and keysErr are answered in place of a member's status, and of keys.
	statusErr, keysErr error
}

func (e *etcdServer) MemberList(context.Context, *pb.MemberListRequest) (*pb.MemberListResponse, error) {
	return &pb.MemberListResponse{Members: []*pb.Member{
		{ID: 1, Name: "cp1", PeerURLs: []string{"https://192.0.2.11:2380"}, ClientURLs: []string{"https://[2001:db8::11]:2379", "https://cp1:2379"}},
		{ID: 2, PeerURLs: []string{"https://192.0.2.12:2380"}, IsLearner: true},
	}}, nil
}

func (e *etcdServer) Status(context.Context, *pb.StatusRequest) (*pb.StatusResponse, error) {
	return &pb.StatusResponse{Errors: e.errors}, e.statusErr
}

func (e *etcdServer) Range(context.Context, *pb.RangeRequest) (*pb.RangeResponse, error) {
	return &pb.RangeResponse{}, e.keysErr
}

func (e *etcdServer) serve(t *testing.T) (url string) {
	t.Helper()
	at, _ := etcdtest.Serve(t, "", func(s *grpc.Server) {
		pb.RegisterClusterServer(s, e)
		pb.RegisterMaintenanceServer(s, e)
		pb.RegisterKVServer(s, e)
	})
	return "http://" + at
}

// asked is what this command learns of an etcd.
func asked(t *testing.T, text string, where config.Etcd) doctor.Fact[*doctor.Etcd] {
	t.Helper()
	c, err := config.Parse("vipd.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	c.Etcd = where
	s := &survey{config: c}
	s.askEtcd(t.Context())
	return s.facts.Etcd
}

const byEtcd = "vips: [{addresses: [192.0.2.10], election: etcd}]"

func TestEtcdIsAsked(t *testing.T) {
	members := []netip.Addr{netip.MustParseAddr("192.0.2.12"), netip.MustParseAddr("192.0.2.11"), netip.MustParseAddr("2001:db8::11")}
	for _, row := range []struct {
		name   string
		config string
		server etcdServer
		want   doctor.Fact[*doctor.Etcd]
		// partly is a word of why the fact is not whole, or of why keys are not told.
		partly, keyless string
	}{
		{"where nothing needs it, it is not", "vips: [{addresses: [192.0.2.10]}]", etcdServer{}, doctor.Fact[*doctor.Etcd]{}, "", ""},
		{"all is well", byEtcd, etcdServer{}, doctor.Known(&doctor.Etcd{Members: members}), "", ""},
		{"for its members", "vips: [{addresses: [192.0.2.10], vrrp: {peers: [etcd]}}]", etcdServer{}, doctor.Known(&doctor.Etcd{Members: members}), "", ""},
		{
			"alarms are raised", byEtcd, etcdServer{errors: []string{"etcdserver: no leader", "memberID:7 alarm:NOSPACE ", "memberID:8 alarm:CORRUPT "}},
			doctor.Known(&doctor.Etcd{Members: members, Alarms: []string{"NOSPACE", "CORRUPT"}}), "", "",
		},
		{"its status is not told", byEtcd, etcdServer{statusErr: errors.New("not for you")}, doctor.Known(&doctor.Etcd{Members: members}), "not for you", ""},
		{"its keys are not told", byEtcd, etcdServer{keysErr: errors.New("not these")}, doctor.Known(&doctor.Etcd{Members: members}), "", "not these"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := asked(t, row.config, config.Etcd{Endpoints: []string{row.server.serve(t)}})
			if !strings.Contains(got.Missing, row.partly) || row.partly == "" && got.Missing != "" {
				t.Errorf("missing: %q, want %q in it", got.Missing, row.partly)
			}
			if got.Value != nil {
				if keyless := got.Value.Keyless; !strings.Contains(keyless, row.keyless) || row.keyless == "" && keyless != "" {
					t.Errorf("keys: %q, want %q in it", keyless, row.keyless)
				}
				got.Value.Keyless = ""
			}
			got.Missing = ""
			if diff := cmp.Diff(row.want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnEtcdThatDoesNotAnswer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(t.TempDir(), "ca.crt")
	for _, row := range []struct {
		name  string
		where config.Etcd
		want  string
	}{
		{"nobody is there", config.Etcd{Endpoints: []string{"http://" + nobody}}, "connection refused"},
		{"a file is missing", config.Etcd{Endpoints: []string{"https://" + (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: silent(t)}).String()}, CAFile: missing}, missing},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := asked(t, byEtcd, row.where)
			if got.Value == nil || got.Value.Distrust || !strings.Contains(got.Value.Silent, row.want) {
				t.Errorf("%+v, want one that is silent because of %q", got.Value, row.want)
			}
		})
	}
}

// silent is a port at which connections are accepted and nothing is said.
func silent(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // it is TCP's
}
