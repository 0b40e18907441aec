package agent

import (
	"context"
	"time"

	"github.com/vipd/vipd/peer"
)

// followKeys follows the key file of the configuration, in place of one that is
// followed already.
func (a *Agent) followKeys() {
	c := &a.cluster
	c.endKeys()
	c.endKeys = func() {}
	path := a.config.AuthKeyFile
	c.keyFile = path
	if path == "" {
		return
	}
	c.endKeys = a.spawn(func(ctx context.Context) {
		err := a.edges.Files.Follow(ctx, path, func(content []byte, err error) {
			a.Post(ctx, keysRead{path: path, content: content, err: err})
		})
		if err != nil && ctx.Err() == nil {
			a.log.Warn("auth_key_file is not followed any more", "file", path, "error", err)
		}
	})
}

// keysRead takes over a key file. A bad one changes nothing: without a good key
// no hello is believed that was not before.
func (a *Agent) keysRead(now time.Time, ev keysRead) {
	if ev.path != a.cluster.keyFile {
		return
	}
	keys, err := (*peer.Keyring)(nil), ev.err
	if err == nil {
		keys, err = peer.NewKeyring(ev.content, a.config.Cluster)
	}
	if err != nil {
		a.cluster.keyFault = err.Error()
		a.log.Warn("auth_key_file cannot be used; the keys stay as they were", "file", ev.path, "error", err)
		return
	}
	a.cluster.keyFault = ""
	a.rekey(now, keys)
}

// rekey replaces the keys; nil: hellos are not authenticated any more.
func (a *Agent) rekey(now time.Time, keys *peer.Keyring) {
	c := &a.cluster
	c.keyed = keys != nil
	c.sender.Rekey(keys)
	a.learn(now, c.table.Rekey(now, keys))
	a.consider(now)
	c.beat.News(now)
}

// reviseHello brings hellos in line with a new configuration.
func (a *Agent) reviseHello(now time.Time, keyed bool) {
	c := &a.cluster
	c.stale = true
	if keyed {
		a.followKeys()
	}
	if c.keyed && a.config.AuthKeyFile == "" {
		a.log.Warn("auth_key_file is not set any more; hellos are not authenticated")
		c.keyFault = ""
		a.rekey(now, nil)
	}
}
