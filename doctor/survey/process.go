package survey

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/vipd/vipd/doctor"
)

// process is a program that runs in this network namespace.
type process struct {
	root root
	pid  int
	name string
	args []string
}

// processes lists the programs of this network namespace: what runs in another
// has addresses and ports of its own. Those that may not be looked at are left out.
func (r root) processes() doctor.Fact[[]process] {
	here, err := r.namespace("self")
	dirs := r.glob("/proc/[0-9]*")
	f := doctor.Known(make([]process, 0, len(dirs)))
	if err != nil {
		f.Missing = needsRoot(err)
	}
	for _, dir := range dirs {
		pid, err := strconv.Atoi(path.Base(dir))
		if err != nil {
			continue
		}
		args := strings.Split(strings.TrimRight(r.read(dir+"/cmdline"), "\x00"), "\x00")
		if args[0] == "" {
			continue // a thread of the kernel's, or it has ended
		}
		switch where, err := r.namespace(strconv.Itoa(pid)); {
		case errors.Is(err, fs.ErrPermission):
			f.Missing = needsRoot(err)
		case err == nil && where == here:
			f.Value = append(f.Value, process{root: r, pid: pid, name: path.Base(args[0]), args: args[1:]})
		}
	}
	return f
}

// namespace names the network namespace of a process.
func (r root) namespace(pid string) (string, error) {
	return os.Readlink(r.path("/proc/" + pid + "/ns/net"))
}

func (p process) where() string { return p.name + " (pid " + strconv.Itoa(p.pid) + ")" }

func (p process) program() doctor.Program { return doctor.Program{Name: p.name, PID: p.pid} }

// file is the path of a file that the process was given, else the usual one.
func (p process) file(usual string, flags ...string) string {
	if file, ok := flagValue(p.args, flags...); ok {
		return file
	}
	return usual
}

// isDaemon: the process is a vipd that holds VIPs.
func (p process) isDaemon() bool { return p.name == "vipd" && len(p.args) > 0 && p.args[0] == "run" }

// configuration is the file of a vipd.
func (p process) configuration() string { return p.file("/etc/vipd/vipd.yaml", "--config") }

// variable is a variable of the process's environment; it may be seen by root
// only.
func (p process) variable(name string) (value string, ok bool) {
	for _, v := range strings.Split(p.root.read("/proc/"+strconv.Itoa(p.pid)+"/environ"), "\x00") {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value, true
		}
	}
	return "", false
}

// parent is the process's; 0: it is not known.
func (p process) parent() int {
	// The name before may hold anything, also brackets (proc(5), /proc/PID/stat).
	_, rest := cutLast(p.root.read("/proc/"+strconv.Itoa(p.pid)+"/stat"), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 2 {
		return 0
	}
	ppid, err := strconv.Atoi(fields[1])
	if err != nil {
		return 0
	}
	return ppid
}

// cutLast parts a text at the last of its separators.
func cutLast(text, sep string) (before, after string) {
	i := strings.LastIndex(text, sep)
	if i < 0 {
		return text, ""
	}
	return text[:i], text[i+len(sep):]
}

// flagValue is the value of a flag, written --name value or --name=value, with one
// dash or two.
func flagValue(args []string, names ...string) (value string, ok bool) {
	for i, arg := range args {
		name, value, joined := strings.Cut(arg, "=")
		if !slices.Contains(names, name) {
			continue
		}
		if joined {
			return value, true
		}
		if i+1 < len(args) {
			return args[i+1], true
		}
	}
	return "", false
}
