package measure

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/vipd/vipd/internal/lab"
)

// Client is a client process on a host of a lab, and all it has recorded.
type Client struct {
	log  Log
	proc *lab.Proc
	opts Options
}

// Start starts a client on the host; viplab is the path of a program with the
// subcommand client. It returns as soon as the client measures.
func Start(ctx context.Context, h *lab.Host, viplab string, opts Options) (*Client, error) {
	c := &Client{opts: opts}
	var err error
	c.proc, err = h.StartCommand(lab.Command{
		Name:   "client",
		Args:   append([]string{viplab, "client", "--records"}, opts.args()...),
		Stdout: &c.log,
	})
	if err != nil {
		return nil, err
	}
	if err := c.awaitComplete(ctx, time.Now()); err != nil {
		return nil, err
	}
	return c, nil
}

// args are the command line flags that mean the options.
func (o Options) args() []string {
	args := []string{
		"--vip", o.Target.String(), "--every", o.Every.String(), "--timeout", o.Timeout.String(),
		"--patience", o.Patience.String(), "--ca", o.CAFile, fmt.Sprintf("--streams=%d", o.Streams), fmt.Sprintf("--tls=%t", o.TLS),
	}
	for _, addr := range o.Controls {
		args = append(args, "--control", addr.String())
	}
	return args
}

// Report waits until all requests of the span have ended and reports on it.
func (c *Client) Report(ctx context.Context, from, to time.Time) (Report, error) {
	if err := c.awaitComplete(ctx, to); err != nil {
		return Report{}, err
	}
	return c.log.Summarise(from, to)
}

// Failures waits until all requests of the span have ended and returns those
// that failed.
func (c *Client) Failures(ctx context.Context, from, to time.Time) ([]Request, error) {
	if err := c.awaitComplete(ctx, to); err != nil {
		return nil, err
	}
	return c.log.Failures(from, to), nil
}

// Ends returns the ends of streams to the VIP in a span, as far as they are known.
func (c *Client) Ends(from, to time.Time) []Stream { return c.log.Ends(from, to) }

func (c *Client) awaitComplete(ctx context.Context, at time.Time) error {
	return c.await(ctx, "the client's records", func() error { return c.log.completeTo(at) })
}

// Served tells whether the newest requests, n of them in a row, all started after
// since and were answered by nodes for which by is true; else why not. It returns
// the start of the first in the row.
func (c *Client) Served(since time.Time, n int, by func(node string) bool) (first time.Time, err error) {
	row, err := c.log.served(since, by)
	switch {
	case err != nil:
		return time.Time{}, err
	case len(row) < n:
		return time.Time{}, fmt.Errorf("%d of %d requests in a row were answered", len(row), n)
	}
	return row[0].At, nil
}

// AwaitServed waits until Served tells so.
func (c *Client) AwaitServed(ctx context.Context, since time.Time, n int, by func(node string) bool) (first time.Time, err error) {
	err = c.await(ctx, fmt.Sprintf("the VIP to answer %d requests in a row", n), func() (err error) {
		first, err = c.Served(since, n, by)
		return err
	})
	return first, err
}

// AwaitStreams waits until every stream to the VIP has had a line after since.
func (c *Client) AwaitStreams(ctx context.Context, since time.Time) error {
	return c.await(ctx, "all streams to flow", func() error {
		n, err := c.log.flowing(since)
		if err == nil && n < c.opts.Streams {
			err = fmt.Errorf("%d of %d", n, c.opts.Streams)
		}
		return err
	})
}

// await waits for a condition. It gives up when the client process has ended.
func (c *Client) await(ctx context.Context, what string, cond func() error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	return lab.Await(ctx, what, func() error {
		select {
		case <-c.proc.Done():
			cancel(fmt.Errorf("the client has ended: %s", c.proc.Log()))
		default:
		}
		return cond()
	})
}

// Stop ends the client and waits for its last records.
func (c *Client) Stop(ctx context.Context) error {
	if err := c.proc.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	code, err := c.proc.Wait(ctx)
	if err == nil && code != 0 {
		err = fmt.Errorf("client ended with %d: %s", code, c.proc.Log())
	}
	return err
}
