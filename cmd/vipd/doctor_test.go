package main

import (
	"encoding/json"
	"testing"

	"github.com/vipd/vipd/doctor"
)

func TestDoctorPage(t *testing.T) {
	ill := doctor.Report{
		Findings: []doctor.Finding{
			{ID: doctor.VIPAnswered, Severity: doctor.Error, Subject: "192.0.2.10", Evidence: "52:54:00:12:34:56 on eth0 answers for it, and no node of its group was heard to have that MAC",
				Fix: "find the station ('bridge fdb', the switch's MAC table) and take 192.0.2.10 off it, or choose another VIP"},
			{ID: doctor.NetworkdManages, Severity: doctor.Warning, Subject: "eth0", Evidence: "systemd-networkd manages it",
				Fix: "install -D -m 644 /usr/share/vipd/vipd-networkd.conf /etc/systemd/network/10-netplan-eth0.network.d/vipd.conf && networkctl reload"},
			{ID: doctor.NobodyHeard, Severity: doctor.Info, Subject: "eth0", Evidence: "no other node of api was heard for 3s", Fix: "nothing, if this is the only node yet"},
		},
		Checks: []doctor.Check{
			{ID: "who-answers", Result: doctor.Found}, {ID: "interface-manager", Result: doctor.Found}, {ID: "adverts", Result: doctor.Found},
			{ID: "kernel", Result: doctor.Skipped, Reasons: []string{"it needs root: sudo vipd doctor"}},
			{ID: "output-filter", Result: doctor.Skipped, Reasons: []string{"it needs root: sudo vipd doctor"}},
			{ID: "peers", Result: doctor.Skipped, Reasons: []string{"the daemon does not run, and it alone follows the peers"}},
			{ID: "routing", Result: doctor.Unneeded, Reasons: []string{"no VIP is announced by BGP"}},
			{ID: "health", Result: doctor.Good},
		},
	}
	well := doctor.Report{Checks: []doctor.Check{{ID: "health", Result: doctor.Good}, {ID: "ports", Result: doctor.Good}}}
	for _, row := range []struct {
		name   string
		report doctor.Report
	}{{"doctor-ill", ill}, {"doctor-well", well}} {
		t.Run(row.name, func(t *testing.T) {
			golden(t, row.name, newRun(t).doctorPage(row.report))
		})
	}
}

// Programs read a report of this shape; lists are never null.
func TestDoctorJSON(t *testing.T) {
	r := newRun(t)
	if err := writeJSON(r.stdout, doctor.Examine(seen("/nonexistent"))); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Schema   int
		Findings []struct{ ID, Severity, Subject, Evidence, Fix, Docs string }
		Checks   []struct{ ID, Result string }
	}
	if err := json.Unmarshal(r.out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Schema != 1 || len(got.Findings) == 0 || got.Findings[0].ID != "config-invalid" || got.Findings[0].Docs != "docs/doctor.md#config-invalid" || got.Checks[0].Result != "found" {
		t.Errorf("the report is %+v", got)
	}
}
