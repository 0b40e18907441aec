package agent

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/vishvananda/netns"

	"github.com/vipd/vipd/vip"
)

// The edge that the daemon uses keeps the same contract, in a real kernel.
func TestHolderKeepsTheContract(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	for _, term := range terms() {
		t.Run(term.name, func(t *testing.T) {
			t.Parallel()
			term.check(t, newNamespace(t))
		})
	}
}

// namespace is a network namespace with one end of a cable, and a holder there.
type namespace struct {
	*vip.Holder
	t    *testing.T
	name string
}

func newNamespace(t *testing.T) *namespace {
	t.Helper()
	n := &namespace{t: t, name: "vipd-agent-" + strings.ToLower(rand.Text()[:10])}
	n.run("netns", "add", n.name)
	t.Cleanup(func() { n.run("netns", "del", n.name) })
	n.run("-n", n.name, "link", "add", "eth0", "type", "veth", "peer", "name", "far")
	for _, link := range []string{"far", "eth0"} {
		n.run("-n", n.name, "link", "set", link, "up")
	}
	n.configure("eth0", "192.0.2.11/24")
	n.configure("eth0", "2001:db8::11/64")
	n.Holder = n.holder()
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// holder opens a Holder on a thread that is in the namespace.
func (n *namespace) holder() *vip.Holder {
	n.t.Helper()
	runtime.LockOSThread()
	home, err := netns.Get()
	if err != nil {
		n.t.Fatal(err)
	}
	defer home.Close()
	there, err := netns.GetFromName(n.name)
	if err != nil {
		n.t.Fatal(err)
	}
	defer there.Close()
	if err := netns.Set(there); err != nil {
		n.t.Fatal(err)
	}
	h, opened := vip.NewHolder()
	if err := netns.Set(home); err != nil {
		// The thread stays locked and dies with its goroutine.
		n.t.Fatal(err)
	}
	runtime.UnlockOSThread()
	if opened != nil {
		n.t.Fatal(opened)
	}
	return h
}

func (n *namespace) run(args ...string) []byte {
	n.t.Helper()
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		n.t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return out
}

func (n *namespace) configure(link, prefix string) {
	n.t.Helper()
	args := []string{"-n", n.name, "addr", "add", prefix, "dev", link}
	if strings.Contains(prefix, ":") {
		args = append(args, "nodad")
	}
	n.run(args...)
}

func (n *namespace) remove(link, prefix string) {
	n.t.Helper()
	n.run("-n", n.name, "addr", "del", prefix, "dev", link)
}

func (n *namespace) listed(link string) []string {
	n.t.Helper()
	var links []struct {
		Addresses []struct {
			Local  string `json:"local"`
			Length int    `json:"prefixlen"`
		} `json:"addr_info"`
	}
	if err := json.Unmarshal(n.run("-n", n.name, "-j", "addr", "show", "dev", link), &links); err != nil {
		n.t.Fatal(err)
	}
	var all []string
	for _, l := range links {
		for _, a := range l.Addresses {
			all = append(all, fmt.Sprintf("%s/%d", a.Local, a.Length))
		}
	}
	return all
}
