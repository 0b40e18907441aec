package flow

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// watchBuffer holds the messages of some thousand rules that change at once, in
// bytes, as kube-proxy makes them.
const watchBuffer = 1 << 20

// Watch calls fn whenever our rules are gone or changed by somebody else, as after
// `nft flush ruleset`, until ctx ends; then it returns nil. fn is called from the
// calling goroutine, within milliseconds, and should have Apply called; it is
// called again as long as the rules are not back and others change.
func (f *Flow) Watch(ctx context.Context, fn func()) error {
	w, err := f.openWatch()
	if err != nil {
		return fmt.Errorf("watch nftables: %w", err)
	}
	if err := w.run(ctx, fn); err != nil {
		return fmt.Errorf("watch nftables: %w", err)
	}
	return nil
}

// watch holds one socket that is told and one that asks.
type watch struct {
	flow *Flow
	look *inspector
	told *netlink.Conn
}

func (f *Flow) openWatch() (*watch, error) {
	look, err := dialInspector()
	if err != nil {
		return nil, err
	}
	told, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, errors.Join(err, look.close())
	}
	w := &watch{f, look, told}
	if err := errors.Join(told.SetReadBuffer(watchBuffer), told.JoinGroup(unix.NFNLGRP_NFTABLES)); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

func (w *watch) close() error { return errors.Join(w.told.Close(), w.look.close()) }

// run tells until ctx ends, and closes the watch.
func (w *watch) run(ctx context.Context, fn func()) (err error) {
	defer func() { err = errors.Join(err, w.close()) }()
	stop := context.AfterFunc(ctx, func() {
		// An error here means that the socket is closed, which ends the read too.
		_ = w.told.SetReadDeadline(time.Unix(1, 0))
	})
	defer stop()
	for {
		messages, err := w.told.Receive()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS):
			// Messages were lost; ours may have been among them.
		case err != nil:
			return err
		case !slices.ContainsFunc(messages, takesOurs):
			continue
		}
		whole, err := w.flow.whole(w.look)
		if err != nil {
			return err
		}
		if !whole {
			fn()
		}
	}
}

// whole tells whether every table that must be there is as it was made. This
// process replaces its own tables too, in one transaction each time.
func (f *Flow) whole(look *inspector) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, family := range families() {
		if !f.expected[family] {
			continue
		}
		if intact, err := look.intact(f.rulesets[family]); !intact {
			return false, err
		}
	}
	return true, nil
}

// takesOurs tells whether a message is about the deletion of something of ours.
func takesOurs(m netlink.Message) bool {
	switch m.Header.Type {
	case nftMessage(unix.NFT_MSG_DELTABLE), nftMessage(unix.NFT_MSG_DELCHAIN),
		nftMessage(unix.NFT_MSG_DELRULE), nftMessage(unix.NFT_MSG_DELSET):
		n, err := firstNames(m)
		return err == nil && n.table == tableName
	default:
		return false
	}
}
