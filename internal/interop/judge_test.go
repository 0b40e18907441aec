package interop

import (
	"net"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/internal/lab/adverts"
)

// TestJudge: the judge of the matrix sees what is wrong.
func TestJudge(t *testing.T) {
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 1}
	at := func(ms int, s side, priority uint8) adverts.Advert {
		a := adverts.Advert{At: time.UnixMilli(int64(ms)), Priority: priority, Interval: 200 * time.Millisecond}
		if s == ours {
			a.MAC = [6]byte(mac)
		}
		return a
	}
	rows := []struct {
		name string
		all  []adverts.Advert
		want []string
	}{
		{"a takeover from silence", []adverts.Advert{at(0, theirs, 150), at(800, ours, 200), at(1000, ours, 200)}, nil},
		{"a takeover from priority 0", []adverts.Advert{at(0, theirs, 150), at(200, theirs, 0), at(250, ours, 200)}, nil},
		{"a duel that ends within an interval", []adverts.Advert{at(0, theirs, 150), at(50, ours, 200), at(60, theirs, 150), at(70, ours, 200)}, nil},
		{
			"a duel that goes on",
			[]adverts.Advert{at(0, theirs, 150), at(100, ours, 200), at(200, theirs, 150), at(300, ours, 200), at(400, theirs, 150), at(500, ours, 200)},
			[]string{"two owners for 400ms: vipd again"},
		},
		{"a takeover later in the story", []adverts.Advert{at(0, theirs, 150), at(100, ours, 200), at(300, ours, 200), at(500, ours, 200), at(1300, theirs, 150)}, nil},
		{"nobody takes over", []adverts.Advert{at(0, theirs, 150), at(2000, ours, 200)}, []string{"nobody advertised for 2s"}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			if diff := cmp.Diff(row.want, judge(row.all, mac)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
