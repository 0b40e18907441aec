package etcd

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Condition is how etcd is, as far as whoever asks can see without changing it.
type Condition struct {
	Members []Member
	// Alarms are those that are raised, such as NOSPACE; AlarmsErr is why they are not
	// known.
	Alarms    []string
	AlarmsErr error
	// KeysErr is why the members' majority does not tell vipd's keys; nil: it does.
	KeysErr error
	// ShownUntil is when the client's certificate ends; zero: none was shown.
	ShownUntil time.Time
}

// Condition asks how etcd is, and writes nothing: who its members are and which
// alarms are raised is answered from the asked member's memory, and a key is read
// that need not be there.
func (c *Client) Condition(ctx context.Context) (Condition, error) {
	members, err := c.Members(ctx)
	if err != nil {
		return Condition{}, err
	}
	now := Condition{Members: members}
	now.AlarmsErr = c.call(ctx, func(ctx context.Context) error {
		// The list of alarms is one that goes through the log of etcd's members, even to
		// be read; a member's status has them too.
		status, err := pb.NewMaintenanceClient(c.etcd.ActiveConnection()).Status(ctx, &pb.StatusRequest{})
		if err != nil {
			return err
		}
		now.Alarms = alarms(status.Errors)
		return nil
	})
	now.KeysErr = c.call(ctx, func(ctx context.Context) error {
		_, err := c.etcd.Get(ctx, root, clientv3.WithPrefix(), clientv3.WithCountOnly())
		return err
	})
	if errors.Is(now.KeysErr, context.DeadlineExceeded) {
		now.KeysErr = fmt.Errorf("reading a key takes an answer of most members, and there was none in %v: %w", callTimeout, now.KeysErr)
	}
	if c.credentials != nil {
		if shown := c.credentials.shown.Load(); shown != nil {
			now.ShownUntil = shown.NotAfter
		}
	}
	return now, nil
}

// alarms are those in the errors of a member's status: memberID:7 alarm:NOSPACE.
func alarms(errs []string) []string {
	var all []string
	raised := regexp.MustCompile(`\balarm:(\w+)`)
	for _, text := range errs {
		if found := raised.FindStringSubmatch(text); found != nil {
			all = append(all, found[1])
		}
	}
	return all
}
