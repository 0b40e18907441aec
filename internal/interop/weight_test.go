package interop

import (
	"os"
	"path/filepath"
	"testing"
)

// A script of keepalived whose failure takes its priority from vipd's healthy band
// to the unhealthy one moves the VIP at once; nopreempt leaves it there.
func TestWeight(t *testing.T) {
	t.Parallel()
	mark := filepath.Join(t.TempDir(), "sick")
	s := open(t, row{
		name: "keepalived, version 3, a script with a weight", programs: []string{"keepalived"},
		theirs: func(g []group) program {
			return keepalived{
				global: version3, groups: g,
				more:     "vrrp_script well {\n script \"/usr/bin/test ! -e " + mark + "\"\n interval 1\n weight -120\n rise 1\n fall 1\n}\n",
				instance: "priority 200\n nopreempt\n advert_int 0.2\n track_script {\n  well\n }\n",
			}
		},
		vrrp: heardFirst + ", priority: 150", groups: four,
	})
	s.step("the neighbour starts first and owns", func() { s.start(s.theirs); s.settles(theirs) })
	s.step("vipd starts beside it and is its backup", func() { s.start(s.ours); s.settles(theirs) })
	s.step("its script fails: vipd takes over", func() { s.must(os.WriteFile(mark, nil, 0o600)); s.settles(ours) })
	s.step("its script is well again: vipd keeps the VIP", func() { s.must(os.Remove(mark)); s.settles(ours) })
	s.step("vipd resigns: the neighbour takes over", func() { s.resign(s.ours); s.settles(theirs) })
	s.must(s.capture.Stop())
	for _, wrong := range judge(s.adverts(four[0]), s.ours.host.MAC) {
		t.Error(wrong)
	}
}
