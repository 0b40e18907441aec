package tool_test

import (
	"bytes"
	"encoding/json"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/apiserver"
	"github.com/vipd/vipd/internal/lab/labtest"
	"github.com/vipd/vipd/internal/lab/measure"
)

func TestMain(m *testing.M) { labtest.Main(m) }

// patience is for things that take well under a second on an idle machine.
const patience = 20 * time.Second

// stage is a lab of one host with a server; self is the path of this binary.
func stage(t *testing.T) (l *lab.Lab, program apiserver.Program, server *apiserver.Process, self string) {
	t.Helper()
	l = labtest.New(t, lab.Options{Hosts: 1})
	self = labtest.Self(t)
	ca, err := apiserver.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	program = apiserver.Program{Viplab: self, CA: ca, Port: 6443}
	if server, err = program.Start(labtest.Context(t, patience), l.Hosts[0]); err != nil {
		t.Fatal(err)
	}
	return l, program, server, self
}

func TestClientReportsWhenItIsInterrupted(t *testing.T) {
	l, program, _, self := stage(t)
	capture, err := l.Client.Capture(labtest.Context(t, patience), "tcp")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	client, err := l.Client.StartCommand(lab.Command{
		Name:   "client",
		Args:   []string{self, "client", "--vip", "10.77.0.11:6443", "--ca", program.CAFile(l.Hosts[0])},
		Stdout: &out,
	})
	if err != nil {
		t.Fatal(err)
	}
	err = lab.Await(labtest.Context(t, patience), "an answer on the wire", func() error {
		frames, err := capture.Frames(labtest.Context(t, patience), "http.response")
		if err == nil && len(frames) == 0 {
			err = os.ErrNotExist
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code, err := client.Wait(labtest.Context(t, patience)); code != 0 || err != nil {
		t.Fatalf("exit code %d, %v: %s", code, err, client.Log())
	}
	var report measure.Report
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	if report.Requests == 0 || report.Failed != 0 || report.Nodes["cp1"] != report.Requests {
		t.Errorf("%+v", report)
	}
}

func TestCheck(t *testing.T) {
	l, program, server, self := stage(t)
	other, err := apiserver.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	otherDir := t.TempDir()
	if err := other.Issue(otherDir, "cp1"); err != nil {
		t.Fatal(err)
	}
	ca := program.CAFile(l.Hosts[0])
	tests := []struct {
		name string
		mode apiserver.Mode
		argv []string
		want bool
	}{
		{"ready", apiserver.Ready, []string{"--ca", ca, "https://127.0.0.1:6443/readyz"}, true},
		{"unready", apiserver.Unready, []string{"--ca", ca, "https://127.0.0.1:6443/readyz"}, false},
		{"hung", apiserver.Hung, []string{"--timeout", "50ms", "--ca", ca, "https://127.0.0.1:6443/readyz"}, false},
		{"signed by somebody else", apiserver.Ready, []string{"--ca", otherDir + "/ca.crt", "https://127.0.0.1:6443/readyz"}, false},
		{"nobody listens", apiserver.Ready, []string{"--ca", ca, "https://127.0.0.1:6444/readyz"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := server.SetMode(labtest.Context(t, patience), tt.mode); err != nil {
				t.Fatal(err)
			}
			_, err := l.Hosts[0].Run(labtest.Context(t, patience), append([]string{self, "check"}, tt.argv...)...)
			if got := err == nil; got != tt.want {
				t.Errorf("healthy %t: %v", got, err)
			}
		})
	}
}
