package metrics

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const (
	rulesPath     = "../deploy/prometheus/vipd.rules.yml"
	rulesTestPath = "../deploy/prometheus/vipd.rules.test.yml"
	dashboardPath = "../deploy/grafana/vipd.json"
	runbookPath   = "../docs/operations.md"
)

// alert is a rule of deploy/prometheus.
type alert struct {
	Name        string `yaml:"alert"`
	Expr        string
	Annotations map[string]string
}

func alerts(t *testing.T) []alert {
	t.Helper()
	var file struct {
		Groups []struct{ Rules []alert }
	}
	data, err := os.ReadFile(rulesPath)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(data, &file); err != nil {
		t.Fatalf("%s: %v", rulesPath, err)
	}
	var all []alert
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) == 0 {
		t.Fatalf("%s has no alert", rulesPath)
	}
	return all
}

// question is an expression with the texts that show labels of its result.
type question struct {
	where, expr string
	labels      []string
}

var (
	alertLabel  = regexp.MustCompile(`\$labels\.(\w+)`)
	legendLabel = regexp.MustCompile(`\{\{(\w+)\}\}`)
)

func found(pattern *regexp.Regexp, text string) []string {
	var all []string
	for _, m := range pattern.FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	return all
}

func alertQuestions(t *testing.T) []question {
	var all []question
	for _, a := range alerts(t) {
		all = append(all, question{a.Name, a.Expr, found(alertLabel, a.Annotations["summary"])})
	}
	return all
}

// panel is a panel of a Grafana dashboard.
type panel struct {
	ID      int
	Title   string
	Targets []struct{ Expr, LegendFormat string }
}

func dashboardQuestions(t *testing.T) []question {
	t.Helper()
	var dashboard struct {
		Panels     []panel
		Templating struct {
			List []struct {
				Name  string
				Query any
			}
		}
	}
	data, err := os.ReadFile(dashboardPath)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &dashboard); err != nil {
		t.Fatalf("%s: %v", dashboardPath, err)
	}
	var all []question
	seen := map[int]bool{}
	for _, p := range dashboard.Panels {
		if seen[p.ID] {
			t.Errorf("panel %q has the id %d of another one", p.Title, p.ID)
		}
		seen[p.ID] = true
		for _, target := range p.Targets {
			all = append(all, question{p.Title, target.Expr, found(legendLabel, target.LegendFormat)})
		}
	}
	if len(all) == 0 {
		t.Fatalf("%s asks nothing", dashboardPath)
	}
	for _, v := range dashboard.Templating.List {
		if query, ok := v.Query.(map[string]any); ok {
			all = append(all, question{where: "variable " + v.Name, expr: query["query"].(string)})
		}
	}
	return all
}

// scraped are labels that come with the target, not from vipd.
func scraped() []string { return []string{"cluster", "instance", "job"} }

// labelsOf are the labels of each series of a registry, by its name.
func labelsOf() map[string][]string {
	series := map[string][]string{"up": scraped()}
	for _, f := range NewCollector(busyNode()).families {
		labels := append(scraped(), f.labels...)
		if f.kind != histogram {
			series[f.name] = labels
			continue
		}
		series[f.name+"_bucket"] = append(slices.Clone(labels), "le")
		series[f.name+"_sum"], series[f.name+"_count"] = labels, labels
	}
	return series
}

var (
	selector = regexp.MustCompile(`\b(vipd_\w+|up)\b(\{[^}]*\})?`)
	matcher  = regexp.MustCompile(`(\w+)(?:=~|!~|!=|=)"`)
	grouping = regexp.MustCompile(`\b(?:by|on|without|ignoring|group_left|group_right) \(([^)]*)\)`)
	asked    = regexp.MustCompile(`label_values\(.*, (\w+)\)`)
)

// wrong is what a question asks for that there is not.
func (q question) wrong(series map[string][]string) []string {
	var problems, labels []string
	for _, m := range selector.FindAllStringSubmatch(q.expr, -1) {
		name, matchers := m[1], m[2]
		has, ok := series[name]
		if !ok {
			problems = append(problems, "there is no metric "+name)
			continue
		}
		for _, label := range found(matcher, matchers) {
			if !slices.Contains(has, label) {
				problems = append(problems, name+" has no label "+label)
			}
		}
		labels = append(labels, has...)
	}
	shown := append(slices.Clone(q.labels), found(asked, q.expr)...)
	for _, list := range found(grouping, q.expr) {
		grouped := strings.Split(list, ", ")
		shown = append(shown, grouped...)
		// What an aggregation drops cannot be shown.
		if strings.Contains(q.expr, " by ("+list+")") && !strings.Contains(q.expr, " on (") {
			labels = slices.DeleteFunc(labels, func(l string) bool { return !slices.Contains(grouped, l) })
		}
	}
	for _, label := range shown {
		if !slices.Contains(labels, label) {
			problems = append(problems, "the result has no label "+label)
		}
	}
	return problems
}

func TestAlertsAndDashboardAskForWhatThereIs(t *testing.T) {
	series := labelsOf()
	for _, q := range slices.Concat(alertQuestions(t), dashboardQuestions(t)) {
		for _, problem := range q.wrong(series) {
			t.Errorf("%s: %s\n\t%s", q.where, problem, q.expr)
		}
	}
}

func TestWhatThereIsNotIsFound(t *testing.T) {
	tests := []struct {
		name, expr string
		labels     []string
		wrong      bool
	}{
		{"right", `sum by (vip) (vipd_vip_owner{cluster=~"$cluster"}) == 0`, []string{"vip"}, false},
		{"a metric that does not exist", `vipd_vip_owners == 0`, nil, true},
		{"a histogram without its suffix", `rate(vipd_loop_lag_seconds[5m])`, nil, true},
		{"a matcher on a label that the metric has not", `vipd_vip_owner{state="owner"}`, nil, true},
		{"grouped by a label that the metric has not", `sum by (state) (vipd_vip_owner)`, nil, true},
		{"shown is a label that the sum dropped", `sum by (vip) (vipd_vip_owner)`, []string{"instance"}, true},
		{"shown is a label that the metric has not", `vipd_drained == 1`, []string{"vip"}, true},
		{"a variable of a label that the metric has not", `label_values(vipd_build_info, vip)`, nil, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			problems := question{test.name, test.expr, test.labels}.wrong(labelsOf())
			if (len(problems) > 0) != test.wrong {
				t.Errorf("%s: problems %q", test.expr, problems)
			}
		})
	}
}

func TestEachAlertHasItsRunbookAndItsStory(t *testing.T) {
	runbook, err := os.ReadFile(runbookPath)
	if err != nil {
		t.Fatal(err)
	}
	stories, err := os.ReadFile(rulesTestPath)
	if err != nil {
		t.Fatal(err)
	}
	var named []string
	for _, a := range alerts(t) {
		named = append(named, a.Name)
		want := "https://github.com/vipd/vipd/blob/main/docs/operations.md#" + strings.ToLower(a.Name)
		if got := a.Annotations["runbook_url"]; got != want {
			t.Errorf("%s: runbook_url is %q, want %q", a.Name, got, want)
		}
		if a.Annotations["summary"] == "" {
			t.Errorf("%s has no summary", a.Name)
		}
		if !strings.Contains(string(runbook), "\n### "+a.Name+"\n") {
			t.Errorf("%s has no heading %q", runbookPath, "### "+a.Name)
		}
		if !strings.Contains(string(stories), `{alertname="`+a.Name+`"}`) {
			t.Errorf("%s has no story in which %s fires", rulesTestPath, a.Name)
		}
	}
	for _, heading := range found(regexp.MustCompile(`(?m)^### (\w+)$`), string(runbook)) {
		if !slices.Contains(named, heading) {
			t.Errorf("%s: ### %s is about no alert", runbookPath, heading)
		}
	}
}
