package etcd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vipd/vipd/election/lease/etcd"
	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/etcdcluster"
)

// askingCommand makes the test's binary ask etcd for its members, again and again,
// as a process on a host.
const askingCommand = "ask-etcd"

// answer is a line of what it prints.
type answer struct {
	Members int           `json:"members"`
	Error   string        `json:"error,omitempty"`
	Took    time.Duration `json:"took"`
}

// ask asks an etcd with the certificates of a directory until it is killed.
func ask(args []string) {
	etcd.Quiet()
	pki := func(name string) string { return filepath.Join(args[0], name) }
	client, err := etcd.Open(etcd.Config{
		Endpoints: args[1:], CAFile: pki(etcdcluster.CAFile), CertFile: pki(etcdcluster.ClientCertFile), KeyFile: pki(etcdcluster.ClientKeyFile),
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	out := json.NewEncoder(os.Stdout)
	for range time.Tick(100 * time.Millisecond) {
		asked := time.Now()
		members, err := client.Members(context.Background())
		a := answer{Members: len(members), Took: time.Since(asked)}
		if err != nil {
			a.Error = err.Error()
		}
		_ = out.Encode(a) // nobody reads it any more: it is about to be killed
	}
}

// asking is a process that asks.
type asking struct {
	s    *stage
	host *lab.Host
	proc *lab.Proc
}

func (s *stage) asking(h *lab.Host, endpoints ...string) asking {
	s.t.Helper()
	self, err := os.Executable()
	s.must(err)
	p, err := h.Start("asking", append([]string{self, askingCommand, s.etcd.PKI(h)}, endpoints...)...)
	s.must(err)
	return asking{s, h, p}
}

// answers are those that it got so far.
func (a asking) answers() []answer {
	var all []answer
	for line := range strings.Lines(a.proc.Log()) {
		var one answer
		if json.Unmarshal([]byte(line), &one) == nil {
			all = append(all, one)
		}
	}
	return all
}

// await waits until a new answer is as wanted, and returns those until then.
func (a asking) await(what string, wanted func(answer) bool) []answer {
	a.s.t.Helper()
	seen := len(a.answers())
	var all []answer
	a.s.must(lab.AwaitEvery(a.s.ctx, 20*time.Millisecond, what, func() error {
		all = a.answers()[seen:]
		if !slices.ContainsFunc(all, wanted) {
			return fmt.Errorf("%d others", len(all))
		}
		return nil
	}))
	return all
}

// connections are the TCP connections that its host has to an address.
func (a asking) connections(to string) []string {
	a.s.t.Helper()
	return a.s.connections(a.host, to)
}

// connections are the TCP connections that a host has to an address.
func (s *stage) connections(h *lab.Host, to string) []string {
	s.t.Helper()
	out, err := h.Run(s.ctx, "ss", "-Htn", "state", "established", "dst", to)
	s.must(err)
	return strings.Fields(out)
}

func good(a answer) bool { return a.Error == "" && a.Members == 2 }

func bad(a answer) bool { return a.Error != "" }

// The way to etcd is cut without a word: nothing tells the client but silence. Each
// question ends by its own deadline, the connection is given up, and when the way is
// mended the next question is answered.
func TestASilentCutEndsTheConnection(t *testing.T) {
	s := open(t, 3)
	one, two := s.Hosts[0], s.Hosts[1]
	s.must(s.etcd.Start(s.ctx, one, two))
	asks := s.asking(one, fmt.Sprintf("https://%s:%d", two.Addr4, etcdcluster.ClientPort))
	asks.await("an answer", good)
	to := fmt.Sprintf("%s:%d", two.Addr4, etcdcluster.ClientPort)
	if len(asks.connections(to)) == 0 {
		t.Fatal("there is no connection to be cut")
	}
	mend, err := s.Break(lab.SilentCut(two))
	s.must(err)
	// The kernel gives the connection up by itself, about a second after something was
	// asked on it: questions that end in vain by their own deadlines do not last as long
	// as a few of them take.
	const most = 3
	before := len(asks.answers())
	s.must(lab.Await(s.ctx, "the connection to be given up", func() error {
		inVain := slices.DeleteFunc(asks.answers()[before:], good)
		left := asks.connections(to)
		switch {
		case len(left) == 0:
			return nil
		case len(inVain) > most:
			t.Fatalf("after %d questions in vain there is still a connection: %v", len(inVain), left)
		}
		return errors.New(strings.Join(left, " "))
	}))
	asks.await("the silence to be told", bad)
	s.must(mend())
	asks.await("an answer again", good)
}

// A member that is frozen takes connections and answers nothing; the one beside it
// answers for it.
func TestAFrozenMemberIsPassedBy(t *testing.T) {
	s := open(t, 3)
	one, two := s.Hosts[0], s.Hosts[1]
	s.must(s.etcd.Start(s.ctx, one, two))
	url := func(h *lab.Host) string { return fmt.Sprintf("https://%s:%d", h.Addr4, etcdcluster.ClientPort) }
	asks := s.asking(one, url(two), url(one))
	asks.await("an answer", good)
	s.must(s.etcd.Freeze(two))
	asks.await("the frozen member's silence", bad)
	asks.await("the other one's answer", good)
	s.must(s.etcd.Thaw(two))
	asks.await("an answer", good)
}

// An owner that asks its own member and one on another host goes on when either is
// lost: with a word, or without one.
func TestAnOwnerWithTwoEndpointsGoesOn(t *testing.T) {
	s := open(t, 3, "election: etcd")
	// next is the other host whose member a host asks.
	next := func(h *lab.Host) *lab.Host { return s.Hosts[(slices.Index(s.Hosts, h)+1)%len(s.Hosts)] }
	s.endpoints = func(h *lab.Host) []string {
		return []string{s.etcd.Endpoint(), fmt.Sprintf("https://%s:%d", next(h).Addr4, etcdcluster.ClientPort)}
	}
	s.must(s.etcd.Start(s.ctx, s.Hosts...))
	for _, h := range s.Hosts {
		s.vipd(h)
	}
	for _, row := range []struct {
		name string
		harm func(s *stage, owner *lab.Host) (mend func() error, err error)
	}{
		{"the way to the other host is cut without a word", func(s *stage, owner *lab.Host) (func() error, error) {
			// The cut is one between their members, too; the owner's is to have its leader.
			if err := s.etcd.Lead(s.ctx, owner); err != nil {
				return nil, err
			}
			to := fmt.Sprintf("%s:%d", next(owner).Addr4, etcdcluster.ClientPort)
			if len(s.connections(owner, to)) == 0 {
				s.t.Fatal("the owner does not ask the other host's member")
			}
			return s.Break(lab.Partition([]*lab.Host{owner}, []*lab.Host{next(owner)}))
		}},
		{"its own member dies", func(s *stage, owner *lab.Host) (func() error, error) {
			if err := s.etcd.Lead(s.ctx, next(owner)); err != nil {
				return nil, err
			}
			return func() error { return s.etcd.Run(s.ctx, owner) }, s.etcd.Kill(s.ctx, owner)
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := s.in(t)
			owner := s.settle()
			w := s.watchAll()
			s.awaitAnswerOf(w, owner)
			mend, err := row.harm(s, owner)
			s.must(err)
			time.Sleep(ttl) // as long as a lease lasts that nobody renews
			s.must(mend())
			s.settle()
			s.stayed(w, owner)
		})
	}
}
