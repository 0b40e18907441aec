package packages

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// build builds all packages of a version and returns their paths, by name.
func build(t *testing.T, version string, architectures string) map[string]string {
	t.Helper()
	out := t.TempDir()
	cmd := exec.Command("../../scripts/package")
	cmd.Env = append(os.Environ(), "VERSION="+version, "OUT="+out, "ARCHITECTURES="+architectures)
	if printed, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build packages: %v\n%s", err, printed)
	}
	built := map[string]string{}
	found, err := filepath.Glob(filepath.Join(out, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range found {
		built[filepath.Base(path)] = path
	}
	return built
}

// require skips a test where it cannot be done.
func require(t *testing.T, programs ...string) {
	t.Helper()
	if testing.Short() {
		t.Skip("builds packages; not with -short")
	}
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("needs %s: %v", program, err)
		}
	}
}

// run runs a command and returns what it printed.
func run(t *testing.T, argv ...string) string {
	t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	return string(out)
}

func TestPackages(t *testing.T) {
	require(t, "dpkg-deb")
	built := build(t, "v1.2.3-4-gabcdef0", "amd64 arm64")
	names := []string{
		"vipd-1.2.3+4.gabcdef0-1.aarch64.rpm", "vipd-1.2.3+4.gabcdef0-1.x86_64.rpm",
		"vipd_1.2.3+4.gabcdef0_amd64.deb", "vipd_1.2.3+4.gabcdef0_arm64.deb",
	}
	if diff := cmp.Diff(names, slices.Sorted(maps.Keys(built))); diff != "" {
		t.Fatalf("built (-want +got):\n%s", diff)
	}
	t.Run("the same tree gives the same bytes", func(t *testing.T) {
		for name, path := range build(t, "v1.2.3-4-gabcdef0", "amd64 arm64") {
			if digest(t, path) != digest(t, built[name]) {
				t.Errorf("%s differs from build to build", name)
			}
		}
	})
	for name, machine := range map[string]elf.Machine{names[2]: elf.EM_X86_64, names[3]: elf.EM_AARCH64} {
		t.Run(name+": its program is static and for its machine", func(t *testing.T) {
			root := t.TempDir()
			run(t, "dpkg-deb", "--extract", built[name], root)
			checkProgram(t, filepath.Join(root, "usr/bin/vipd"), machine)
			checkFiles(t, root)
		})
	}
	t.Run("lintian finds no error", func(t *testing.T) {
		require(t, "lintian")
		run(t, "lintian", "--fail-on", "error", "--no-tag-display-limit", "--allow-root", built[names[2]])
	})
	for _, name := range names[:2] {
		t.Run(name+": rpm can read it, scripts and all", func(t *testing.T) {
			require(t, "rpm")
			scripts := run(t, "rpm", "-qp", "--scripts", built[name])
			for _, part := range []string{"postinstall scriptlet", "preuninstall scriptlet", "postuninstall scriptlet", "systemd-sysusers vipd.conf", "vipd release"} {
				if !strings.Contains(scripts, part) {
					t.Errorf("%q is not in its scripts:\n%s", part, scripts)
				}
			}
			if config := strings.TrimSpace(run(t, "rpm", "-qp", "--configfiles", built[name])); config != "/etc/vipd/vipd.example.yaml" {
				t.Errorf("configuration files: %s", config)
			}
			if files := run(t, "rpm", "-qpl", built[name]); !strings.Contains(files, "/usr/share/zsh/site-functions/_vipd\n") {
				t.Errorf("the completion for zsh is not where rpm's systems look:\n%s", files)
			}
			run(t, "rpm", "-K", "--nosignature", built[name])
		})
	}
}

func digest(t *testing.T, path string) [sha256.Size]byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(b)
}

func checkProgram(t *testing.T, path string, machine elf.Machine) {
	t.Helper()
	program, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	if program.Machine != machine {
		t.Errorf("for %v, want %v", program.Machine, machine)
	}
	for _, p := range program.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("is linked dynamically: %v", p.Type)
		}
	}
}

// checkFiles looks for what each package must have, and that its administrator can
// read it whatever the umask of the builder was.
func checkFiles(t *testing.T, root string) {
	t.Helper()
	for _, path := range []string{
		"etc/vipd/vipd.example.yaml", "usr/lib/systemd/system/vipd.service", "usr/lib/systemd/system/vipd-shutdown.service",
		"usr/lib/sysusers.d/vipd.conf", "usr/lib/tmpfiles.d/vipd.conf", "usr/share/vipd/vipd-keys.conf",
		"usr/share/vipd/vipd-realtime.conf",
		"usr/share/man/man8/vipd.8.gz", "usr/share/man/man8/vipd-drain.8.gz", "usr/share/doc/vipd/README.md",
		"usr/share/bash-completion/completions/vipd", "usr/share/zsh/vendor-completions/_vipd", "usr/share/fish/vendor_completions.d/vipd.fish",
	} {
		file, err := os.Stat(filepath.Join(root, path))
		if err != nil {
			t.Error(err)
			continue
		}
		if file.Size() == 0 || file.Mode() != 0o644 {
			t.Errorf("%s: %d bytes, %v", path, file.Size(), file.Mode())
		}
	}
	checkLinks(t, filepath.Join(root, "usr/share/doc/vipd"))
}

// checkLinks looks whether what the texts link to was installed with them.
func checkLinks(t *testing.T, texts string) {
	t.Helper()
	links := regexp.MustCompile(`\]\(([^)#:]+)[^):]*\)`)
	found := 0
	for _, text := range files(t, texts) {
		if filepath.Ext(text) != ".md" {
			continue
		}
		b, err := os.ReadFile(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range links.FindAllSubmatch(b, -1) {
			found++
			if _, err := os.Stat(filepath.Join(filepath.Dir(text), string(link[1]))); err != nil {
				t.Errorf("%s: a link leads nowhere: %v", filepath.Base(text), err)
			}
		}
	}
	if found < 50 {
		t.Errorf("only %d links were found", found)
	}
}

// A chroot has no systemd that runs: images are built so. What systemd does on
// top is another test's.
func TestDpkg(t *testing.T) {
	require(t, "dpkg", "unshare")
	if os.Geteuid() != 0 {
		t.Skip("needs root for an overlay and a chroot")
	}
	h := newHost(t)
	for _, version := range []string{"v0.0.1", "v0.0.2"} {
		for _, path := range build(t, version, "amd64") {
			if strings.HasSuffix(path, ".deb") {
				h.copy(path, "/"+version+".deb")
			}
		}
	}
	parts := []struct {
		name   string
		script string
		want   string
	}{
		{"installs, makes user and groups, keeps the example, starts nothing", `
			dpkg --install /v0.0.1.deb >/dev/null
			id --name --groups vipd
			stat --format='%U %a' /run/vipd
			vipd version | cut -d' ' -f2
			test ! -e /etc/systemd/system/multi-user.target.wants/vipd.service`,
			"vipd vipd-admin\nvipd 755\nv0.0.1\n"},
		{"an example that was changed is kept by the upgrade", `
			echo '# mine' >>/etc/vipd/vipd.example.yaml
			echo 'vips: [{addresses: [192.0.2.10]}]' >/etc/vipd/vipd.yaml
			dpkg --force-confold --install /v0.0.2.deb >/dev/null
			tail -1 /etc/vipd/vipd.example.yaml
			vipd version | cut -d' ' -f2`,
			"# mine\nv0.0.2\n"},
		{"a downgrade works", `
			dpkg --force-downgrade --install /v0.0.1.deb >/dev/null 2>&1
			vipd version | cut -d' ' -f2`,
			"v0.0.1\n"},
		{"removal keeps the configuration", `
			dpkg --remove vipd >/dev/null
			ls /etc/vipd
			test ! -e /usr/bin/vipd
			test ! -e /run/vipd`,
			"vipd.example.yaml\nvipd.yaml\n"},
		{"purge leaves nothing but the user", `
			dpkg --purge vipd >/dev/null
			dpkg-query --show vipd 2>/dev/null || true
			find /etc /run /usr /var -name '*vipd*'
			id --name --user vipd`,
			"vipd\n"},
	}
	for _, part := range parts {
		ok := t.Run(part.name, func(t *testing.T) {
			if diff := cmp.Diff(part.want, h.sh(t, part.script)); diff != "" {
				t.Error(diff)
			}
		})
		if !ok {
			return // the following parts build on it
		}
	}
}

// host is a file system of its own over this machine's.
type host struct {
	t    *testing.T
	base string
}

// newHost needs a place that is not on the root file system for what is written.
func newHost(t *testing.T) host {
	t.Helper()
	base, err := os.MkdirTemp("/dev/shm", "vipd-packages-")
	if err != nil {
		t.Skipf("needs a file system of its own in /dev/shm: %v", err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(base); err != nil {
			t.Error(err)
		}
	})
	h := host{t, base}
	for _, d := range []string{"upper", "work", "root"} {
		if err := os.Mkdir(filepath.Join(base, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := h.command("true").CombinedOutput(); err != nil {
		t.Skipf("needs overlayfs: %v: %s", err, out)
	}
	return h
}

// copy puts a file on the host.
func (h host) copy(from, to string) {
	h.t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(filepath.Join(h.base, "upper", to), b, 0o644)
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// command runs a script in the host, in a mount namespace that ends with it. The
// loopback has no address there, and nothing runs.
func (h host) command(script string) *exec.Cmd {
	const enter = `
		set -e
		mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
		mount -t proc proc "$1/root/proc"
		rm -rf "$1/root/run/systemd"
		exec chroot "$1/root" sh -ec "$2"`
	return exec.Command("unshare", "--mount", "--propagation=private", "--net", "--pid", "--fork", "sh", "-c", enter, "enter", h.base, script)
}

// sh runs a script on the host and returns what it printed.
func (h host) sh(t *testing.T, script string) string {
	t.Helper()
	cmd := h.command(script)
	var out, notes bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &notes
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s%s", err, &out, &notes)
	}
	return out.String()
}

// `make install` makes the place for the configuration, names its own paths, and
// `make uninstall` takes away all that it brings.
func TestInstallAndUninstall(t *testing.T) {
	require(t, "make")
	root := t.TempDir()
	for _, target := range []string{"install", "uninstall"} {
		cmd := exec.Command("make", "--no-print-directory", target, "DESTDIR="+root, "PREFIX=/opt/vipd", "BIN="+t.TempDir())
		cmd.Dir = "../.."
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("make %s: %v\n%s", target, err, out)
		}
		files := files(t, root)
		if target == "install" {
			checkLinks(t, filepath.Join(root, "opt/vipd/share/doc/vipd"))
			for path, line := range map[string]string{
				"opt/vipd/lib/systemd/system/vipd.service": "ExecStart=/opt/vipd/bin/vipd run\n",
				"opt/vipd/share/vipd/vipd-keys.conf":       " /opt/vipd/share/vipd/vipd-keys.conf ",
				"etc/vipd/vipd.example.yaml":               "vips:\n",
			} {
				text, err := os.ReadFile(filepath.Join(root, path))
				if err != nil || !bytes.Contains(text, []byte(line)) {
					t.Errorf("%s lacks %q: %v\n%s", path, line, err, text)
				}
			}
		} else if len(files) > 0 {
			t.Errorf("left behind: %v", files)
		}
	}
}

func files(t *testing.T, root string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			all = append(all, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
