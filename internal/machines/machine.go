package machines

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/vipd/vipd/internal/lab"
)

// poll is the time between two looks at a machine; each costs a process.
const poll = 200 * time.Millisecond

// start mounts a machine's file system where nobody else sees it, joins the
// machine's cgroup and becomes the machine. A new file system is without the units
// that this machine has enabled, and without its name and identity. A fixed
// machine-id keeps systemd from taking each boot for the first (machine-id(5)).
const start = `
set -e
base=$1 name=$2 namespace=$3 cgroup=$4 id=$5
echo $$ >"$cgroup/cgroup.procs"
mkdir -p "$base/upper" "$base/work" "$base/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$base/upper,workdir=$base/work" "$base/root"
root=$base/root
if [ ! -e "$base/made" ]; then
	rm -rf "$root"/etc/systemd/system/*.wants "$root"/etc/vipd "$root"/etc/kubernetes "$root"/var/log/journal
	ln -sf /dev/null "$root/etc/systemd/system/console-getty.service"
	rm -f "$root/etc/machine-id" "$root/etc/hostname" "$root/usr/sbin/policy-rc.d"
	echo "$id" >"$root/etc/machine-id"
	echo "$name" >"$root/etc/hostname"
	[ ! -d "$base/files" ] || cp -a "$base/files/." "$root/"
	touch "$base/made"
fi
export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
exec systemd-nspawn --quiet --register=no --keep-unit --boot --directory="$root" --console=passive \
	--network-namespace-path="$namespace" --capability=CAP_NET_ADMIN,CAP_NET_RAW
`

// Machine is a systemd host of a lab, running or not. It is for one goroutine.
type Machine struct {
	*lab.Host
	lab    *lab.Lab
	cgroup string
	proc   *lab.Proc
	// leader is the machine's first process as this machine numbers it.
	leader int
	// plug puts the cable back that a machine without power does not need.
	plug func() error
}

// New makes the machine of a host. files are laid over its file system, by path;
// the lab removes what it keeps, and Close the rest.
func New(l *lab.Lab, h *lab.Host, files map[string]File) (*Machine, error) {
	m := &Machine{Host: h, lab: l, plug: func() error { return nil }}
	for path, file := range files {
		if err := file.write(filepath.Join(m.base(), "files", path)); err != nil {
			return nil, fmt.Errorf("make machine %s: %w", h, err)
		}
	}
	var err error
	if m.cgroup, err = newCgroup(h.Namespace); err != nil {
		return nil, fmt.Errorf("make machine %s: %w", h, err)
	}
	return m, nil
}

// File is a file of a machine.
type File struct {
	Content []byte
	Mode    os.FileMode
}

func (f File) write(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // as a system's directories are
		return err
	}
	return os.WriteFile(path, f.Content, f.Mode)
}

func (m *Machine) base() string { return filepath.Join(m.Dir(), "machine") }

// Boot starts the machine and returns when systemd has started all units.
func (m *Machine) Boot(ctx context.Context) error {
	if err := m.boot(ctx); err != nil {
		return fmt.Errorf("boot %s: %w", m, err)
	}
	return nil
}

func (m *Machine) boot(ctx context.Context) error {
	if err := m.plug(); err != nil {
		return err
	}
	id := fmt.Sprintf("%032x", []byte(m.MAC))
	var err error
	m.proc, err = m.Start("machine", "unshare", "--mount", "--propagation", "private", "sh", "-c", start, "machine",
		m.base(), m.Name, filepath.Join("/run/netns", m.Namespace), m.cgroup, id)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	return lab.AwaitEvery(ctx, poll, "systemd", func() error {
		select {
		case <-m.proc.Done():
			cancel(errors.New("the machine has ended"))
		default:
		}
		if m.leader, err = firstProcess(m.proc.Pid()); err != nil {
			return err
		}
		state, err := m.Run(ctx, "systemctl", "is-system-running")
		if state = strings.TrimSpace(state); state == "running" || state == "degraded" {
			return nil
		}
		return fmt.Errorf("it is %s: %w", state, err)
	})
}

// firstProcess finds the child of nspawn that is number 1 in its own namespace.
func firstProcess(nspawn int) (int, error) {
	children, err := os.ReadFile(fmt.Sprintf("/proc/%[1]d/task/%[1]d/children", nspawn))
	if err != nil {
		return 0, err
	}
	for _, child := range strings.Fields(string(children)) {
		status, err := os.ReadFile("/proc/" + child + "/status") //nolint:gosec // below /proc
		if err != nil {
			continue // it has just ended
		}
		_, numbers, _ := strings.Cut(string(status), "\nNSpid:")
		numbers, _, _ = strings.Cut(numbers, "\n")
		if all := strings.Fields(numbers); len(all) > 1 && all[len(all)-1] == "1" {
			return strconv.Atoi(child)
		}
	}
	return 0, fmt.Errorf("process %d has no child that is a machine", nspawn)
}

// Run runs a command in the machine and returns its standard output.
func (m *Machine) Run(ctx context.Context, argv ...string) (string, error) {
	return m.RunInput(ctx, "", argv...)
}

// RunInput is Run with standard input.
func (m *Machine) RunInput(ctx context.Context, input string, argv ...string) (string, error) {
	enter := []string{"nsenter", "--target", strconv.Itoa(m.leader), "--mount", "--pid", "--net", "--uts", "--ipc", "--"}
	return m.Host.RunInput(ctx, input, append(enter, argv...)...)
}

// Path is where a file of the running machine is seen from outside.
func (m *Machine) Path(path string) string {
	return filepath.Join("/proc", strconv.Itoa(m.leader), "root", path)
}

// AwaitOff waits until the machine has ended: powered off, or about to boot
// again, which nspawn leaves to others. Then its cable is out and what its kernel held is
// gone, as with a real one: the namespace stays.
func (m *Machine) AwaitOff(ctx context.Context, vips ...netip.Addr) error {
	if _, err := m.proc.Wait(ctx); err != nil {
		return err
	}
	var err error
	if m.plug, err = m.lab.Break(lab.CableCut(m.Host)); err != nil {
		return err
	}
	if _, err := m.Host.Run(ctx, "nft", "flush", "ruleset"); err != nil {
		return err
	}
	for _, device := range []string{m.Interface, "lo"} {
		if err := m.remove(ctx, device, vips); err != nil {
			return err
		}
	}
	return nil
}

// remove takes addresses off a device that may have them.
func (m *Machine) remove(ctx context.Context, device string, vips []netip.Addr) error {
	held, err := m.Addresses(device)
	if err != nil {
		return err
	}
	for _, addr := range held {
		for _, vip := range vips {
			if addr != vip {
				continue
			}
			if _, err := m.Host.Run(ctx, "ip", "address", "delete", netip.PrefixFrom(vip, vip.BitLen()).String(), "dev", device); err != nil {
				return err
			}
		}
	}
	return nil
}

// Close ends the machine, if it runs, and removes its cgroup.
func (m *Machine) Close(ctx context.Context) error {
	if err := killCgroup(m.cgroup); err != nil {
		return err
	}
	if m.proc != nil {
		if _, err := m.proc.Wait(ctx); err != nil {
			return err
		}
	}
	return removeCgroup(ctx, m.cgroup)
}
