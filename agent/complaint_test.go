package agent

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestComplaint(t *testing.T) {
	type heard struct {
		at   time.Duration
		what string
	}
	for _, row := range []struct {
		name  string
		heard []heard
		want  []string
	}{
		{"all is well", []heard{{0, ""}, {time.Hour, ""}}, nil},
		{"it goes on: told once", []heard{{0, "down"}, {time.Second, "down"}, {time.Hour, "down"}}, []string{"0s down"}},
		{"it ends: told at once", []heard{{0, "down"}, {time.Second, ""}, {2 * time.Second, ""}}, []string{"0s down", "1s over"}},
		{"it becomes something else: told a minute later", []heard{{0, "down"}, {time.Second, "expired"}, {time.Minute, "expired"}, {time.Hour, "expired"}}, []string{"0s down", "1m0s expired"}},
		{"it comes and goes: told once a minute", []heard{{0, "down"}, {time.Second, ""}, {2 * time.Second, "down"}, {3 * time.Second, ""}, {61 * time.Second, "down"}}, []string{"0s down", "1s over", "1m1s down"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			c, began := complaint{}, time.Unix(1000, 0)
			var got []string
			for _, h := range row.heard {
				begins, ends := c.hear(began.Add(h.at), h.what)
				switch {
				case begins:
					got = append(got, h.at.String()+" "+h.what)
				case ends:
					got = append(got, h.at.String()+" over")
				}
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("told (-want +got):\n%s", diff)
			}
		})
	}
}
