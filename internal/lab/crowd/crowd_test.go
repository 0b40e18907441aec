package crowd

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/internal/lab/adverts"
)

func TestBusyJudge(t *testing.T) {
	at := func(ms int, station byte) adverts.Advert {
		return adverts.Advert{At: time.UnixMilli(int64(ms)), MAC: [6]byte{5: station}, Priority: 200}
	}
	rows := []struct {
		name string
		all  []adverts.Advert
		want Busy
	}{
		{"adverts on time", []adverts.Advert{at(100, 1), at(200, 1), at(300, 1)}, Busy{Adverts: 2}},
		{"one came late", []adverts.Advert{at(100, 1), at(200, 1), at(350, 1), at(450, 1)}, Busy{Adverts: 3, Most: 50 * time.Millisecond}},
		{"the owner changed and changed back", []adverts.Advert{at(100, 1), at(500, 2), at(510, 1), at(610, 1)}, Busy{Adverts: 1, Flaps: 2}},
		{"what was before the loops does not count", []adverts.Advert{at(0, 2), at(50, 1), at(150, 1)}, Busy{Adverts: 1}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			subject := Subject{Interval: 100 * time.Millisecond}
			got, want := Busy{Subject: subject}, row.want
			want.Subject = subject
			got.judge(row.all, time.UnixMilli(100))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestPrint(t *testing.T) {
	kept, ours := Subject{Name: "keepalived"}, Subject{Name: "vipd", Vipd: "/bin/vipd", Interval: time.Second}
	var out strings.Builder
	if err := PrintScale(&out, []Scale{
		{Subject: kept, Groups: 100, OwnerCPU: 1.3, BackupCPU: 0.2, OwnerRSS: 14e6, BackupRSS: 13e6, Median: 3 * time.Second, Most: 3500 * time.Millisecond},
		{Subject: ours, Groups: 100, OwnerCPU: 3.1, BackupCPU: 0.9, OwnerRSS: 20e6, BackupRSS: 19e6, Median: 3 * time.Second, Most: 3100 * time.Millisecond},
	}); err != nil {
		t.Fatal(err)
	}
	ours.RealTime = true
	if err := PrintBusy(&out, []Busy{{Subject: kept}, {Subject: ours, Median: 100 * time.Microsecond, Most: 4 * time.Millisecond}}, 20*time.Second); err != nil {
		t.Fatal(err)
	}
	want := `| groups on one interface | takeover of all in ms, median/max | CPU, owner/backup | RSS, owner/backup |
|-------------------------|-----------------------------------|-------------------|-------------------|
| 100: keepalived         | 3000/3500                         | 1.30/0.20 %       | 14.0/13.0 MB      |
| 100: vipd               | 3000/3100                         | 3.10/0.90 %       | 20.0/19.0 MB      |

✗ vipd: 100 groups take at most 3 % of a core: 3.10/0.90 %
| under 4 busy loops, 20s | changes of the owner | adverts late by, median/max |
|-------------------------|----------------------|-----------------------------|
| keepalived              | 0                    | 0.0/0.0 ms                  |
| vipd                    | 0                    | 0.1/4.0 ms                  |

✓ vipd: no change of the owner: 0
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
