package hooks

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"text/template"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// object is what the tests read of the examples, which are of several kinds.
type object struct {
	Kind string
	Spec struct {
		JobTemplate     struct{ Spec workload } `yaml:"jobTemplate"`
		Template        podTemplate
		Prepare         container
		Upgrade         container
		Concurrency     int
		Drain           map[string]any
		MachineTemplate struct {
			Metadata struct{ Annotations map[string]string }
		} `yaml:"machineTemplate"`
	}
}

type workload struct{ Template podTemplate }

type podTemplate struct {
	Spec struct{ Containers []container }
}

type container struct {
	Command, Args []string
	Env           []struct{ Name, Value string }
}

// objects reads the YAML documents of an example.
func objects(t *testing.T, file string) map[string]object {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(text, []byte("# An example, not tested in a cluster: ")) {
		t.Errorf("%s does not say that it is an example", file)
	}
	all := map[string]object{}
	for decoder := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var o object
		err := decoder.Decode(&o)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all[o.Kind] = o
	}
}

func TestKuredRebootsOnlyAfterTheDrain(t *testing.T) {
	env := objects(t, "kured-reboot-command.yaml")["DaemonSet"].Spec.Template.Spec.Containers[0].Env[0]
	if env.Name != "KURED_REBOOT_COMMAND" {
		t.Fatalf("sets %s", env.Name)
	}
	rows := []struct {
		name string
		fail []string
		want outcome
	}{
		{"a successor takes the VIP", nil, outcome{Calls: []string{drainVIP, "systemctl reboot"}}},
		{"nobody takes it: no reboot, and kured is told", []string{"3 vipd drain"}, outcome{[]string{drainVIP}, 3}},
	}
	for _, row := range rows {
		n := newNode(t)
		n.fail(row.fail...)
		got, _, said := n.run(n.command("/bin/sh", "-c", env.Value))
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s: %s(-want +got):\n%s", row.name, said, diff)
		}
	}
}

func TestPlanDrainsBeforeThePods(t *testing.T) {
	plan := objects(t, "system-upgrade-controller-plan.yaml")["Plan"].Spec
	if plan.Concurrency != 1 || plan.Drain == nil {
		t.Errorf("concurrency %d, drain %v", plan.Concurrency, plan.Drain)
	}
	if diff := cmp.Diff([]string{"chroot", "/host", "vipd", "drain"}, append(plan.Prepare.Command, plan.Prepare.Args...)); diff != "" {
		t.Errorf("prepare (-want +got):\n%s", diff)
	}
	upgrade := []string{
		"apt-get update",
		"apt-get install -y --allow-change-held-packages kubeadm=1.35.1-*",
		"kubeadm upgrade node",
		"apt-get install -y --allow-change-held-packages kubelet=1.35.1-* kubectl=1.35.1-*",
		"systemctl restart kubelet",
		undrain,
	}
	rows := []struct {
		name string
		fail []string
		want outcome
	}{
		{"all succeeds", nil, outcome{Calls: upgrade}},
		{"kubeadm fails: the node stays drained", []string{"1 kubeadm"}, outcome{upgrade[:3], 1}},
	}
	for _, row := range rows {
		n := newNode(t)
		n.write("bin/apt-get", standIn)
		n.fail(row.fail...)
		cmd := n.command(plan.Upgrade.Args[0], plan.Upgrade.Args[1:]...)
		cmd.Env = append(cmd.Env, "SYSTEM_UPGRADE_PLAN_LATEST_VERSION=v1.35.1")
		got, _, said := n.run(cmd)
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s: %s(-want +got):\n%s", row.name, said, diff)
		}
	}
}

const capiHook = "pre-drain.delete.hook.machine.cluster.x-k8s.io/vipd"

func TestClusterAPIAnnotationIsTheOneThatTheHookRemoves(t *testing.T) {
	annotations := objects(t, "cluster-api-annotation.yaml")[""].Spec.MachineTemplate.Metadata.Annotations
	if diff := cmp.Diff(map[string]string{capiHook: "vipd-drain"}, annotations); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// machines are what the management cluster has: one that is not being deleted, one
// without the annotation, one that never became a node, and two for the hook.
func machines() map[string]any {
	machine := func(name string, deleted bool, node string, annotations map[string]any) any {
		metadata, status := map[string]any{"name": name, "annotations": annotations}, map[string]any{}
		if deleted {
			metadata["deletionTimestamp"] = "2026-01-02T15:04:05Z"
		}
		if node != "" {
			status["nodeRef"] = map[string]any{"name": node}
		}
		return map[string]any{"metadata": metadata, "status": status}
	}
	hooked := map[string]any{capiHook: "vipd-drain"}
	return map[string]any{"items": []any{
		machine("stays", false, "cp0", hooked),
		machine("other", true, "cp1", map[string]any{"note": "x"}),
		machine("bare", true, "cp2", nil),
		machine("unborn", true, "", hooked),
		machine("leaves", true, "cp3", hooked),
		machine("leaves-too", true, "cp4", hooked),
	}}
}

func TestClusterAPIHook(t *testing.T) {
	job := objects(t, "cluster-api-hook.yaml")["CronJob"].Spec.JobTemplate.Spec.Template.Spec.Containers[0]
	script := job.Args[0]
	_, text, _ := strings.Cut(script, "template='")
	text, _, _ = strings.Cut(text, "'")
	chosen, err := template.New("machines").Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	var listed strings.Builder
	if err := chosen.Execute(&listed, machines()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("leaves cp3\nleaves-too cp4\n", listed.String()); diff != "" {
		t.Fatalf("chosen (-want +got):\n%s", diff)
	}

	n := newNode(t)
	n.write("machines", listed.String())
	// Notes only what changes something; answers the questions.
	n.write("bin/kubectl", `#!/bin/sh
case "$*" in
"get machines "*) cat "${RECORD%record}machines" ;;
*" get pods "*cp3*) echo pod/three ;;
*" get pods "*cp4*) echo pod/four ;;
*) echo "kubectl $*" >>"$RECORD"; case "$*" in *pod/three*) exit 3 ;; esac ;;
esac
`)
	got, _, said := n.run(n.command(job.Command[0], append(job.Command[1:], script)...))
	want := outcome{Calls: []string{
		"kubectl --kubeconfig /workload/value --namespace kube-system exec pod/three -- chroot /host vipd drain",
		"kubectl --kubeconfig /workload/value --namespace kube-system exec pod/four -- chroot /host vipd drain",
		"kubectl annotate machine leaves-too " + capiHook + "-",
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("one drain is refused, the other succeeds: %s(-want +got):\n%s", said, diff)
	}
}
