package etcd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/grpclog"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
)

const (
	// callTimeout bounds a call that its caller bounds no further.
	callTimeout = time.Second
	// connectTimeout bounds one try to connect, handshake included.
	connectTimeout = time.Second
	// unheardTimeout is how long data may lie unacknowledged before a connection is
	// taken for dead: gRPC makes it the socket's TCP_USER_TIMEOUT (tcp(7)). A
	// connection on which nothing is asked is asked by the kernel each idleProbe. The
	// kernel counts from the first retransmission, which comes after 200 ms or more.
	unheardTimeout = 500 * time.Millisecond
	idleProbe      = time.Second
	// pingAfter is gRPC's own question whether the server lives, asked only while
	// a stream is open: etcd ends connections that are asked without one. gRPC
	// allows no less than 10 s.
	pingAfter = 10 * time.Second
	// retryFirst and retryMost are the pauses between two tries to connect.
	retryFirst, retryMost = 100 * time.Millisecond, 500 * time.Millisecond
)

// Config tells where etcd is, and what proves who is who.
type Config struct {
	// Endpoints are URLs, all http or all https.
	Endpoints []string
	// CAFile verifies etcd's certificate; empty: the system's CA certificates.
	CAFile string
	// CertFile and KeyFile are shown to etcd; empty: nothing is.
	CertFile, KeyFile string
}

// Client asks etcd. Its methods may be called by several goroutines.
type Client struct {
	etcd        *clientv3.Client
	endpoints   []string
	credentials *fileCredentials // nil: no TLS
}

// Open makes a client. It connects later, and again and again: neither an etcd
// that is not there nor files that are not there are an error here. Files are
// read at each handshake, so new ones are used from the next connection on.
func Open(c Config) (*Client, error) {
	client := &Client{endpoints: c.Endpoints}
	options := []grpc.DialOption{
		grpc.WithContextDialer(dial),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: retryFirst, Multiplier: 1.6, Jitter: 0.2, MaxDelay: retryMost},
			MinConnectTimeout: connectTimeout,
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: pingAfter, Timeout: unheardTimeout}),
		grpc.WithChainUnaryInterceptor(failFast),
		grpc.WithChainStreamInterceptor(failFastStream),
	}
	if len(c.Endpoints) > 0 && strings.HasPrefix(c.Endpoints[0], "https://") {
		client.credentials = newFileCredentials(c)
		options = append(options, grpc.WithTransportCredentials(client.credentials))
	}
	var err error
	client.etcd, err = clientv3.New(clientv3.Config{
		Endpoints:   c.Endpoints,
		DialTimeout: connectTimeout,
		// One try: the caller decides about another.
		MaxUnaryRetries: 1,
		Logger:          zap.NewNop(),
		DialOptions:     options,
	})
	if err != nil {
		return nil, fmt.Errorf("make a client of etcd at %s: %w", strings.Join(c.Endpoints, ", "), err)
	}
	return client, nil
}

// Quiet keeps the library beneath from writing to standard error by itself: what
// it has to say comes back as errors. It is for the start of a program.
func Quiet() {
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard))
}

// Close ends the client and the calls that are made.
func (c *Client) Close() error {
	if err := c.etcd.Close(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("close the client of etcd: %w", err)
	}
	return nil
}

// call makes one call with the usual time to answer.
func (c *Client) call(ctx context.Context, ask func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return c.explain(ask(ctx))
}

// explain says why etcd did not answer, as an operator needs to know it.
func (c *Client) explain(err error) error {
	if err == nil {
		return nil
	}
	if c.credentials != nil && status.Code(err) == codes.Unavailable {
		if problem := c.credentials.problem.Load(); problem != nil {
			return *problem
		}
		if problem := c.credentials.refused(plainly(err)); problem != nil {
			return problem
		}
	}
	asked := "ask etcd at " + strings.Join(c.endpoints, ", ")
	switch known := rpctypes.Error(err); {
	case errors.Is(known, rpctypes.ErrNoSpace):
		return fmt.Errorf("%s: it has used up its space and refuses writes (alarm NOSPACE): etcdctl compact REVISION, etcdctl defrag, then etcdctl alarm disarm: %w", asked, err)
	case errors.Is(known, rpctypes.ErrPermissionDenied), errors.Is(known, rpctypes.ErrUserEmpty):
		return fmt.Errorf("%s: its authentication does not allow that: etcdctl role grant-permission ROLE readwrite --prefix=true %s, for the user that the client certificate's common name says: %w", asked, root, err)
	}
	return fmt.Errorf("%s: %w", asked, plainly(err))
}

// told is an error in fewer words.
type told struct {
	words string
	error
}

func (t told) Error() string { return t.words }

func (t told) Unwrap() error { return t.error }

// plainly takes the layers of gRPC off an error's text: what is left is what the
// network or TLS said.
func plainly(err error) error {
	s, ok := status.FromError(err)
	if !ok {
		return err
	}
	words := s.Message()
	if _, inner, layered := strings.Cut(words, `desc = "`); layered {
		words = strings.TrimSuffix(inner, `"`)
	}
	for _, layer := range []string{"transport: ", "Error while dialing: "} {
		words = strings.TrimPrefix(words, layer)
	}
	return told{words, err}
}

// failFast has a call fail while there is no connection, with the reason. The
// library would have it wait, and tell no more than that time is up.
func failFast(ctx context.Context, method string, question, answer any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
	return invoke(ctx, method, question, answer, conn, append(options, grpc.WaitForReady(false))...)
}

// failFastStream is failFast for calls with more than one answer.
func failFastStream(ctx context.Context, what *grpc.StreamDesc, conn *grpc.ClientConn, method string, stream grpc.Streamer, options ...grpc.CallOption) (grpc.ClientStream, error) {
	return stream(ctx, what, conn, method, append(options, grpc.WaitForReady(false))...)
}

// dial connects to etcd directly: proxies of the environment are for other
// things.
func dial(ctx context.Context, address string) (net.Conn, error) {
	d := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: idleProbe, Interval: idleProbe, Count: 1}}
	return d.DialContext(ctx, "tcp", address)
}
