package survey

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/doctor"
)

// asNobody looks at files as a user without rights does.
func asNobody(t *testing.T, look func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to be somebody else")
	}
	const nobody = 65534
	failed := make(chan error)
	go func() {
		runtime.LockOSThread() // the thread ends with this goroutine
		err := unix.Setfsuid(nobody)
		if err == nil {
			look()
		}
		failed <- err
	}()
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
}

// What this user may not see is told, not taken for absent.
func TestWhatMayNotBeSeenIsTold(t *testing.T) {
	const socket = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n" +
		"   0: 00000000:25B3 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 13 1 0 100 0 0 10 0\n"
	files := map[string]string{
		"/proc/net/udp":        socket,
		"/etc/netplan/01.yaml": "- 192.0.2.10/24\n",
		"/etc/kubernetes/manifests/kube-apiserver.yaml": "- --advertise-address=192.0.2.11\n",
		"/etc/vipd/vipd.yaml":                           "vips: [{addresses: [192.0.2.10]}]\n",
	}
	running(files, 9, true, "keepalived")
	r := tree(t, files)
	for _, closed := range []string{"/proc/9/ns", "/etc/netplan/01.yaml", "/etc/kubernetes/manifests", "/etc/vipd"} {
		if err := os.Chmod(r.path(closed), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range []struct {
		name    string
		missing func(s *survey) string
	}{
		{"other programs for the VIP", func(s *survey) string { return s.findRivals().Missing }},
		{"whose the ports are", func(s *survey) string { return s.findSockets().Missing }},
		{"who speaks BGP", func(s *survey) string { return s.findSpeakers(nil).Missing }},
		{"the kubelet", func(s *survey) string { return s.findKubelet().Missing }},
		{"the flags of the control plane", func(s *survey) string { return s.findFlags().Missing }},
		{"the pods' network", func(s *survey) string { return s.findCNI().Missing }},
		{"files that configure the network", func(s *survey) string { return s.root.mentions(s.vips()).Missing }},
		{"files that the daemon reads", func(s *survey) string {
			s.config, s.Path, s.facts.Unit = &config.Config{}, "/etc/vipd/vipd.yaml", doctor.Unit{Path: "vipd.service"}
			return s.lookAtFiles().Missing
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			asNobody(t, func() {
				if row.missing(at(t, r)) == "" {
					t.Error("it counts as seen")
				}
			})
			if why := row.missing(at(t, r)); why != "" {
				t.Errorf("for root: %s", why)
			}
		})
	}
	t.Run("a port that may be the daemon's is nobody else's", func(t *testing.T) {
		asNobody(t, func() {
			if got := at(t, r).findSockets().Value; len(got) > 0 {
				t.Errorf("%+v", got)
			}
		})
	})
	t.Run("a directory that kubeadm closed is there", func(t *testing.T) {
		asNobody(t, func() {
			if !r.exists("/etc/kubernetes/manifests/kube-apiserver.yaml") {
				t.Error("it counts as absent")
			}
		})
	})
}

func TestARelativeConfigurationIsFound(t *testing.T) {
	t.Chdir(t.TempDir())
	s := &survey{Options: Options{Path: "vipd.yaml"}, config: &config.Config{}}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := s.files()[0].Path, filepath.Join(here, "vipd.yaml"); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
