package doctor

import (
	"fmt"

	"github.com/vipd/vipd/agent"
)

// judgeDaemon takes the daemon's own word.
func judgeDaemon(f *Facts, v *verdict) {
	if !f.runs() {
		why, severity, fix := f.Status.Missing, Info, "systemctl enable --now vipd, when this report is good"
		if f.Unit.Enabled {
			severity, fix = Warning, "systemctl status vipd; journalctl -u vipd says why it ended"
		}
		v.found(DaemonDown, severity, "vipd", why, fix)
		return
	}
	s := f.Status.Value
	if s.Drained {
		v.found(NodeDrained, Warning, s.Node, "drained since "+s.DrainedSince+": this node takes no VIP", "vipd undrain, when the work is done")
	}
	for i := range s.VIPs {
		judgeState(v, &s.VIPs[i])
	}
}

func judgeState(v *verdict, s *agent.VIPStatus) {
	if s.State == agent.StateFault {
		v.found(VIPFault, Error, s.Name, fmt.Sprintf("this node cannot serve it: %s: %s", s.Reason, s.Detail),
			"mend what the reason names; docs/operations.md explains each")
	}
	if s.DuplicateOwner {
		v.found(DuplicateOwner, Error, s.Name, "this node owns it, and another station claims it too",
			"vipd status on the other nodes; journalctl -u vipd has the MAC of the other station")
	}
}

// judgePunctuality looks whether the host lets the daemon run when it has to.
func judgePunctuality(f *Facts, v *verdict) {
	if !f.runs() {
		v.cannot("the daemon does not run, so it was not late")
		return
	}
	loop := f.Status.Value.Loop
	if loop.Late == 0 {
		return
	}
	v.found(LoopLate, Warning, "vipd", fmt.Sprintf("%d times the daemon ran more than an advert interval too late since it started; 99 of 100 times it was at most %gs late",
		loop.Late, loop.LagSeconds99),
		"find what takes the processor (vipd.service has Nice=-20 and CPUWeight=10000), or make vrrp.advert_interval longer on all nodes")
}
