package doctor

import (
	"cmp"
	"slices"
)

// Schema is the version of the Report document.
const Schema = 1

// Severity is how much a finding matters.
type Severity string

// The severities, worst first.
const (
	// Error: the VIP does not work here, or will break.
	Error Severity = "error"
	// Warning: a guarantee is lost, or it breaks under circumstances.
	Warning Severity = "warning"
	// Info: worth knowing; nothing is wrong by itself.
	Info Severity = "info"
)

func (s Severity) rank() int { return slices.Index([]Severity{Error, Warning, Info}, s) }

// Finding is one thing that was found.
type Finding struct {
	ID       ID       `json:"id"`
	Severity Severity `json:"severity"`
	// Subject is what it is about: a VIP, an interface, a file, a peer.
	Subject string `json:"subject"`
	// Evidence is what was seen, Fix what to do about it; both are for people.
	Evidence string `json:"evidence"`
	Fix      string `json:"fix"`
	// Docs is the section that explains it.
	Docs string `json:"docs"`
}

// Result is what became of a check.
type Result string

// The results.
const (
	// Good: nothing was found.
	Good Result = "good"
	// Found: there are findings.
	Found Result = "found"
	// Skipped: the check, or a part of it, could not be made.
	Skipped Result = "skipped"
	// Unneeded: the check has no object on this host.
	Unneeded Result = "unneeded"
)

// Check is one question and what became of it.
type Check struct {
	ID     string `json:"id"`
	Result Result `json:"result"`
	// Reasons say why it, or a part of it, could not be made or is not needed.
	Reasons []string `json:"reasons,omitempty"`
}

// Report is what an examination came to.
type Report struct {
	Schema int `json:"schema"`
	// Config is the path of the configuration file.
	Config string `json:"config"`
	// Findings are in the order of their severity.
	Findings []Finding `json:"findings"`
	Checks   []Check   `json:"checks"`
}

// Examine judges the facts.
func Examine(f *Facts) Report {
	r := Report{Schema: Schema, Config: f.Path, Findings: []Finding{}}
	for _, q := range questions() {
		v := verdict{}
		q.judge(f, &v)
		r.Findings = append(r.Findings, v.findings...)
		r.Checks = append(r.Checks, v.check(q.id))
	}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int { return cmp.Compare(a.Severity.rank(), b.Severity.rank()) })
	return r
}

// Count is the number of findings of a severity.
func (r Report) Count(s Severity) int {
	n := 0
	for _, f := range r.Findings {
		if f.Severity == s {
			n++
		}
	}
	return n
}

// question is one check.
type question struct {
	id    string
	judge func(*Facts, *verdict)
}

// questions are all checks, in the order in which a person would go through them.
func questions() []question {
	return []question{
		{"configuration", judgeConfiguration},
		{"key-files", judgeCompanions},
		{"file-access", judgeFiles},
		{"daemon", judgeDaemon},
		{"interface", judgeLinks},
		{"interface-settings", judgeSettings},
		{"interface-manager", judgeManagers},
		{"who-answers", judgeAnswers},
		{"who-holds", judgeHolders},
		{"leftovers", judgeLeftovers},
		{"rivals", judgeRivals},
		{"adverts", judgeAdverts},
		{"hellos", judgeHellos},
		{"peers", judgePeers},
		{"peer-settings", judgeDifferences},
		{"output-filter", judgeWaysOut},
		{"kernel", judgeKernel},
		{"handover", judgeHandover},
		{"listeners", judgeListeners},
		{"health", judgeHealth},
		{"certificate", judgeCertificates},
		{"kubelet", judgeKubelet},
		{"etcd", judgeEtcd},
		{"etcd-answers", judgeClusterEtcd},
		{"api-server", judgeAPIServer},
		{"cni", judgeCNI},
		{"ports", judgePorts},
		{"routing", judgeRouting},
		{"punctuality", judgePunctuality},
	}
}

// verdict collects what one check comes to.
type verdict struct {
	findings []Finding
	skipped  []string
	unneeded []string
}

func (v *verdict) found(id ID, severity Severity, subject, evidence, fix string) {
	v.findings = append(v.findings, Finding{
		ID: id, Severity: severity, Subject: subject, Evidence: evidence, Fix: fix, Docs: "docs/doctor.md#" + string(id),
	})
}

// cannot notes that a part of the check could not be made.
func (v *verdict) cannot(why string) {
	if !slices.Contains(v.skipped, why) {
		v.skipped = append(v.skipped, why)
	}
}

// needless notes that the check has no object.
func (v *verdict) needless(why string) { v.unneeded = append(v.unneeded, why) }

func (v *verdict) check(id string) Check {
	c := Check{ID: id, Result: Good, Reasons: v.skipped}
	switch {
	case len(v.findings) > 0:
		c.Result = Found
	case len(v.skipped) > 0:
		c.Result = Skipped
	case len(v.unneeded) > 0:
		c.Result, c.Reasons = Unneeded, v.unneeded
	}
	return c
}

// noConfiguration is why checks of VIPs cannot be made without one.
const noConfiguration = "there is no configuration that can be used"

// groups are the VIP groups; without a configuration the check cannot be made.
func (v *verdict) groups(f *Facts) []Group {
	if f.Config == nil {
		v.cannot(noConfiguration)
	}
	return f.Groups
}

// seen returns a fact, or notes why it is not known.
func seen[T any](v *verdict, f Fact[T]) (T, bool) {
	if f.Missing != "" {
		v.cannot(f.Missing)
	}
	return f.Value, f.Missing == ""
}
