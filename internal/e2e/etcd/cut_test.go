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

// connections are the TCP connections that a host has to an address.
func (a asking) connections(to string) []string {
	a.s.t.Helper()
	out, err := a.host.Run(a.s.ctx, "ss", "-Htn", "state", "established", "dst", to)
	a.s.must(err)
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
	cut := time.Now()
	s.must(lab.Await(s.ctx, "the connection to be given up", func() error {
		if left := asks.connections(to); len(left) > 0 {
			return errors.New(strings.Join(left, " "))
		}
		return nil
	}))
	t.Logf("the connection was given up after %v", time.Since(cut).Round(time.Millisecond))
	for _, a := range asks.await("the silence to be told", bad) {
		t.Logf("%v %s", a.Took.Round(time.Millisecond), a.Error)
	}
	s.must(mend())
	mended := time.Now()
	asks.await("an answer again", good)
	t.Logf("answered again %v after the cut was mended", time.Since(mended).Round(time.Millisecond))
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
