package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/vipd/vipd/internal/lab/scene"
)

const (
	// throughputRounds are measured of each kind, in turn, uploadSpan long.
	throughputRounds = 7
	uploadSpan       = 300 * time.Millisecond
	// uploadEvery is the time between two requests beside the upload: few.
	uploadEvery = 10 * time.Millisecond
)

// throughputs opens a connection, moves the VIP and opens another one: the first
// is passed on by the new owner, the second is its own. Both carry uploads in
// turn, so that whatever else the machine does concerns both.
func (b *bench) throughputs(ctx context.Context) (carried, direct []float64, err error) {
	if err := b.openWith(ctx, scene.Options{Every: uploadEvery}); err != nil {
		return nil, nil, err
	}
	old, err := b.upload(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, old.Close()) }()
	if _, err := b.try(ctx, scene.Drain()); err != nil {
		return nil, nil, err
	}
	own, err := b.upload(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, own.Close()) }()
	for range throughputRounds {
		rate, err := throughput(old)
		if err != nil {
			return nil, nil, fmt.Errorf("carried: %w", err)
		}
		carried = append(carried, rate)
		if rate, err = throughput(own); err != nil {
			return nil, nil, fmt.Errorf("direct: %w", err)
		}
		direct = append(direct, rate)
	}
	b.progress("throughput: carried %.2f, direct %.2f Gbit/s", gigabits(middle(carried)), gigabits(middle(direct)))
	return carried, direct, nil
}

// upload opens a connection to the VIP that takes all that is sent.
func (b *bench) upload(ctx context.Context) (conn net.Conn, err error) {
	err = b.scene.Lab.Client.Do(func() error {
		conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", b.scene.VIP().String())
		return err
	})
	if err != nil {
		return nil, err
	}
	const endless = int64(1) << 60
	if _, err := fmt.Fprintf(conn, "POST /sink HTTP/1.1\r\nHost: vip\r\nContent-Length: %d\r\n\r\n", endless); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// throughput sends for a while and returns bytes a second. What only fills the
// buffers is about a hundredth of it.
func throughput(conn net.Conn) (float64, error) {
	if err := conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	block := make([]byte, 256<<10)
	begin, sent := time.Now(), 0
	for time.Since(begin) < uploadSpan {
		n, err := conn.Write(block)
		sent += n
		if err != nil {
			return 0, err
		}
	}
	return float64(sent) / time.Since(begin).Seconds(), nil
}
