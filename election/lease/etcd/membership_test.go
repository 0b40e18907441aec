package etcd

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/vipd/vipd/internal/lasting"
)

// sightings are what a Membership told, as lines.
type sightings struct {
	mu    sync.Mutex
	lines []string
}

func (s *sightings) add(seen Sighting) {
	var words []string
	if seen.Remembered {
		words = append(words, "remembered")
	}
	for _, m := range seen.Members {
		words = append(words, m.String())
	}
	if seen.Err != nil {
		words = append(words, "error")
	}
	if seen.Unnoted != nil {
		words = append(words, "unnoted")
	}
	line := strings.Join(words, " ")
	s.mu.Lock()
	defer s.mu.Unlock()
	if line == "error" && len(s.lines) > 0 && s.lines[len(s.lines)-1] == line {
		return // it has become another one
	}
	s.lines = append(s.lines, line)
}

// await waits until these lines are all.
func (s *sightings) await(t *testing.T, want ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		s.mu.Lock()
		diff := cmp.Diff(want, s.lines)
		s.mu.Unlock()
		if diff == "" {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatal(diff)
		case <-tick.C:
		}
	}
}

// follow follows until the test ends or end is called.
func follow(t *testing.T, m Membership) (s *sightings, end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s = &sightings{}
	done := make(chan error)
	go func() { done <- m.Follow(ctx, s.add) }()
	end = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(end)
	return s, end
}

func (m *member) set(names ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.list = nil
	for i, name := range names {
		m.list = append(m.list, &pb.Member{ID: uint64(i + 1), Name: name, PeerURLs: []string{fmt.Sprintf("https://192.0.2.%d:2380", i+11)}})
	}
}

func TestMembershipIsFollowedAndRemembered(t *testing.T) {
	a, m := newAuthority(t), &member{}
	m.set("cp1", "cp2")
	at, end := serve(t, a, "", m)
	client, c := open(t, at)
	a.write(t, c)
	notes := lasting.Directory(filepath.Join(t.TempDir(), "vipd"))
	seen, stop := follow(t, Membership{Client: client, Notes: notes})
	seen.await(t, "cp1 cp2")
	m.set("cp1", "cp2", "cp3")
	seen.await(t, "cp1 cp2", "cp1 cp2 cp3")
	end()
	seen.await(t, "cp1 cp2", "cp1 cp2 cp3", "error")
	_, end = serve(t, a, at, m)
	seen.await(t, "cp1 cp2", "cp1 cp2 cp3", "error", "cp1 cp2 cp3")
	m.set("cp1", "cp3")
	seen.await(t, "cp1 cp2", "cp1 cp2 cp3", "error", "cp1 cp2 cp3", "cp1 cp3")
	stop()
	end()

	// The next start is without etcd.
	again, _ := open(t, at)
	seen, _ = follow(t, Membership{Client: again, Notes: notes})
	seen.await(t, "remembered cp1 cp3", "error")
}

func TestWhatCannotBeNotedIsTold(t *testing.T) {
	a, m := newAuthority(t), &member{}
	m.set("cp1")
	at, _ := serve(t, a, "", m)
	client, c := open(t, at)
	a.write(t, c)
	// A file stands where the directory should be.
	seen, _ := follow(t, Membership{Client: client, Notes: lasting.Directory(c.CAFile)})
	seen.await(t, "error", "cp1 unnoted")
}

func TestANoteThatCannotBeRead(t *testing.T) {
	a, m := newAuthority(t), &member{}
	m.set("cp1")
	at, _ := serve(t, a, "", m)
	client, c := open(t, at)
	a.write(t, c)
	notes := lasting.Directory(t.TempDir())
	if err := notes.Store(memberNote, []byte("{")); err != nil {
		t.Fatal(err)
	}
	if _, err := (Membership{Notes: notes}).load(); err == nil || !strings.Contains(err.Error(), memberNote) {
		t.Errorf("got %v, want an error that names the note", err)
	}
	seen, stop := follow(t, Membership{Client: client, Notes: notes})
	seen.await(t, "error", "cp1")
	stop()
	got, err := Membership{Notes: notes}.load()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Member{{ID: 1, Name: "cp1", PeerURLs: []string{"https://192.0.2.11:2380"}}}, got); diff != "" {
		t.Error(diff)
	}
}
