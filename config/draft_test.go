package config

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDraftIsAFileOfTheKeysThatWereChosen(t *testing.T) {
	d := NewDraft("# For cp1.")
	d.Text("node", "null", "")
	v := d.Element("vips")
	v.List("addresses", []string{"192.0.2.10", "2001:db8::10"}, "both families")
	vrrp := v.Section("vrrp")
	vrrp.Number("vrid", 7, "not 10")
	vrrp.Duration("advert_interval", time.Minute/2, "")
	w := d.Element("vips")
	w.List("addresses", []string{"192.0.2.20"}, "")
	check := w.Element("health")
	check.Text("type", "exec", "")
	check.List("command", []string{"/bin/check", "", "a: b", "\t"}, "")
	got, err := d.YAML()
	if err != nil {
		t.Fatal(err)
	}
	want := `# For cp1.
node: "null"
vips:
  - addresses: [192.0.2.10, '2001:db8::10'] # both families
    vrrp:
      vrid: 7 # not 10
      advert_interval: 30s
  - addresses: [192.0.2.20]
    health:
      - type: exec
        command: [/bin/check, "", 'a: b', "\t"]
`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
	c, err := Parse("vipd.yaml", got)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"/bin/check", "", "a: b", "\t"}, c.VIPs[1].Health[0].Command); diff != "" {
		t.Errorf("command: want -, got +:\n%s", diff)
	}
}
