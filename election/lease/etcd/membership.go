package etcd

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/vipd/vipd/internal/lasting"
)

const (
	// memberPeriod is the time between two looks at the list of members. etcd does
	// not tell of its changes; to ask costs the member a look into its memory.
	memberPeriod = time.Second
	// memberNote is the note of the members seen last.
	memberNote = "etcd-members.json"
)

// Membership follows who is in the cluster.
type Membership struct {
	Client *Client
	// Notes keep the members for starts without etcd.
	Notes lasting.Directory
}

// Sighting is what was learned of the members.
type Sighting struct {
	Members []Member
	// Remembered: as noted before this start; etcd has not told yet.
	Remembered bool
	// Err is why they cannot be learned; Members is empty then.
	Err error
	// Unnoted is why they are not noted for the next start.
	Unnoted error
}

// Follow calls fn with what was noted, then with the members that etcd tells, at
// first and after each change, and with the error each time one begins or becomes
// another one, until ctx ends.
func (m Membership) Follow(ctx context.Context, fn func(Sighting)) error {
	noted, err := m.load()
	if err != nil {
		fn(Sighting{Err: err})
	}
	if len(noted) > 0 {
		fn(Sighting{Members: noted, Remembered: true})
	}
	told, failing := []Member(nil), ""
	ticker := time.NewTicker(memberPeriod)
	defer ticker.Stop()
	for {
		members, err := m.Client.Members(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && err.Error() != failing:
			fn(Sighting{Err: err})
		case err == nil && (failing != "" || !same(members, told)):
			told = members
			unnoted := m.note(noted, members)
			if unnoted == nil {
				noted = members
			}
			fn(Sighting{Members: members, Unnoted: unnoted})
		}
		failing = ""
		if err != nil {
			failing = err.Error()
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func same(a, b []Member) bool { return slices.EqualFunc(a, b, Member.equal) }

func (m Member) equal(o Member) bool {
	return m.ID == o.ID && m.Name == o.Name && m.Learner == o.Learner &&
		slices.Equal(m.PeerURLs, o.PeerURLs) && slices.Equal(m.ClientURLs, o.ClientURLs)
}

func (m Membership) load() ([]Member, error) {
	text, err := m.Notes.Load(memberNote)
	if err != nil || text == nil {
		return nil, err
	}
	var members []Member
	if err := json.Unmarshal(text, &members); err != nil {
		return nil, fmt.Errorf("read etcd's members as noted in %s/%s: %w; the next answer of etcd replaces it", m.Notes, memberNote, err)
	}
	return members, nil
}

// note notes the members, unless these are noted already.
func (m Membership) note(noted, members []Member) error {
	if same(noted, members) {
		return nil
	}
	text, err := json.Marshal(members)
	if err != nil {
		return fmt.Errorf("note etcd's members: %w", err)
	}
	return m.Notes.Store(memberNote, append(text, '\n'))
}
