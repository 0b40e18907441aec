package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/election/lease"
	"github.com/vipd/vipd/election/lease/etcd"
	"github.com/vipd/vipd/internal/lasting"
)

// leases keep who owns in etcd, over one client, which is opened when it is asked
// for the first time.
type leases struct {
	notes lasting.Directory

	mu     sync.Mutex
	where  config.Etcd
	client *etcd.Client
	store  *etcd.Leases
}

// open returns the leases at a place.
func (l *leases) open(where config.Etcd) (*etcd.Leases, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	same := slices.Equal(where.Endpoints, l.where.Endpoints) && where.CAFile == l.where.CAFile &&
		where.CertFile == l.where.CertFile && where.KeyFile == l.where.KeyFile
	if l.client != nil && same {
		return l.store, nil
	}
	client, err := etcd.Open(etcdConfig(where))
	if err != nil {
		return nil, err
	}
	former := l.client
	l.where, l.client = where, client
	if former == nil {
		l.store = etcd.NewLeases(client)
		return l.store, nil
	}
	l.store.Use(client)
	return l.store, former.Close()
}

func (l *leases) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.client == nil {
		return nil
	}
	return l.client.Close()
}

func (l *leases) Call(ctx context.Context, where config.Etcd, g agent.LeaseGroup, o lease.Order) lease.Answer {
	store, err := l.open(where)
	if err != nil {
		return lease.Answer{Kind: o.Kind, Number: o.Number, Err: err}
	}
	return store.Call(ctx, etcd.Group(g), o)
}

func (l *leases) Watch(ctx context.Context, where config.Etcd, g agent.LeaseGroup, seen func(lease.View), trouble func(error)) {
	for {
		store, err := l.open(where)
		if err == nil {
			store.Watch(ctx, etcd.Group(g), seen, trouble)
			return
		}
		trouble(err)
		select {
		case <-time.After(reopenPause):
		case <-ctx.Done():
			return
		}
	}
}

// reopenPause is the pause before a client that could not be made is tried again.
const reopenPause = time.Second

// etcdNote says that etcd was reached: it holds a digest of the CA that it proved
// itself with. kubeadm reset removes the CA, and a new cluster has another one, so
// the note is about the cluster that this node is in, or about none.
const etcdNote = "etcd-reached"

func (l *leases) Known(where config.Etcd) (bool, error) {
	note, err := l.notes.Load(etcdNote)
	if note == nil || err != nil {
		return false, err
	}
	digest, err := authority(where)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && string(note) == digest, err
}

func (l *leases) Remember(where config.Etcd) error {
	digest, err := authority(where)
	if err != nil {
		return err
	}
	return l.notes.Store(etcdNote, []byte(digest))
}

// authority is a digest of what etcd proves itself with.
func authority(where config.Etcd) (string, error) {
	var content []byte
	if where.CAFile != "" {
		var err error
		if content, err = os.ReadFile(where.CAFile); err != nil {
			return "", err
		}
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:]) + "\n", nil
}
