package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
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

	// noting is held while a note is made: etcd may be asked for it.
	noting sync.Mutex

	mu sync.Mutex
	// noted is what the note says, as far as is known.
	noted string
	// where etcd is, and of: where it was when the client was opened.
	where, of config.Etcd
	client    *etcd.Client
	store     *etcd.Leases
}

func (l *leases) Use(where config.Etcd) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.where = where
}

// open returns the leases where etcd is now.
func (l *leases) open() (*etcd.Leases, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.client != nil && sameEtcd(l.where, l.of) {
		return l.store, nil
	}
	client, err := etcd.Open(etcdConfig(l.where))
	if err != nil {
		return nil, err
	}
	former := l.client
	l.of, l.client = l.where, client
	if former == nil {
		l.store = etcd.NewLeases(client)
		return l.store, nil
	}
	l.store.Use(client)
	return l.store, former.Close()
}

func sameEtcd(x, y config.Etcd) bool {
	return slices.Equal(x.Endpoints, y.Endpoints) && x.CAFile == y.CAFile && x.CertFile == y.CertFile && x.KeyFile == y.KeyFile
}

func (l *leases) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.client == nil {
		return nil
	}
	return l.client.Close()
}

func (l *leases) Call(ctx context.Context, g agent.LeaseGroup, o lease.Order) lease.Answer {
	store, err := l.open()
	if err != nil {
		return lease.Answer{Kind: o.Kind, Number: o.Number, Err: err}
	}
	return store.Call(ctx, etcd.Group(g), o)
}

func (l *leases) Watch(ctx context.Context, g agent.LeaseGroup, seen func(lease.View), trouble func(error)) {
	for {
		store, err := l.open()
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

func (l *leases) Known() (bool, error) {
	note, err := l.notes.Load(etcdNote)
	if note == nil || err != nil {
		return false, err
	}
	l.setNoted(string(note))
	digest, err := l.authority()
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && string(note) == digest, err
}

// Remember notes a CA that etcd has proved itself with. One that was replaced while
// connections live on is tried by a new one: the file may be another cluster's.
func (l *leases) Remember(ctx context.Context) error {
	l.noting.Lock()
	defer l.noting.Unlock()
	digest, err := l.authority()
	if err != nil || digest == l.isNoted() {
		return err
	}
	if err := l.prove(ctx); err != nil {
		return fmt.Errorf("note etcd's CA, which is another one than is noted: %w", err)
	}
	if again, err := l.authority(); err != nil || again != digest {
		return errors.Join(errors.New("note etcd's CA: the file changed just now"), err)
	}
	if err := l.notes.Store(etcdNote, []byte(digest)); err != nil {
		return err
	}
	l.setNoted(digest)
	return nil
}

func (l *leases) setNoted(digest string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.noted = digest
}

func (l *leases) isNoted() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.noted
}

// prove asks etcd by a connection of its own.
func (l *leases) prove(ctx context.Context) (err error) {
	l.mu.Lock()
	where := l.where
	l.mu.Unlock()
	client, err := etcd.Open(etcdConfig(where))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	_, err = client.Members(ctx)
	return err
}

// authority is a digest of what etcd proves itself with.
func (l *leases) authority() (string, error) {
	l.mu.Lock()
	file := l.where.CAFile
	l.mu.Unlock()
	var content []byte
	if file != "" {
		var err error
		if content, err = os.ReadFile(file); err != nil {
			return "", err
		}
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:]) + "\n", nil
}
