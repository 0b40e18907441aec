package survey

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/doctor"
)

// reader is whom the daemon runs as.
type reader struct {
	uid  uint32
	gids []uint32
}

// lookAtFiles tells of each file that the configuration names whether the unit's
// user gets at it.
func (s *survey) lookAtFiles() doctor.Fact[[]doctor.File] {
	if s.config == nil {
		return doctor.Known[[]doctor.File](nil)
	}
	u := s.facts.Unit
	if u.Path == "" {
		return doctor.Unknown[[]doctor.File]("vipd.service is not installed: nothing tells whom the daemon will run as")
	}
	who, err := s.root.reader(u.User)
	if err != nil {
		return doctor.Unknown[[]doctor.File](err.Error())
	}
	var all doctor.Fact[[]doctor.File]
	for _, f := range s.files() {
		seen, err := s.root.lookAt(f, who, u.ReadsAll)
		if err != nil {
			all.Missing = needsRoot(err)
			continue
		}
		all.Value = append(all.Value, seen)
	}
	return all
}

// files are those that the configuration names, and itself.
func (s *survey) files() []doctor.File {
	at, err := filepath.Abs(s.Path)
	if err != nil {
		at = s.Path
	}
	all := []doctor.File{{Key: "--config", Path: at}}
	add := func(runs bool, path, format string, args ...any) {
		if path != "" && !slices.ContainsFunc(all, func(f doctor.File) bool { return f.Path == path }) {
			all = append(all, doctor.File{Key: fmt.Sprintf(format, args...), Path: path, Runs: runs})
		}
	}
	c := s.config
	add(false, c.AuthKeyFile, "auth_key_file")
	add(false, c.Metrics.WebConfig, "metrics.web_config")
	for i, n := range c.BGP.Neighbors {
		add(false, n.PasswordFile, "bgp.neighbors[%d].password_file", i)
	}
	for i, v := range c.VIPs {
		add(false, v.VRRP.PeersFile, "vips[%d].vrrp.peers_file", i)
		if len(v.Notify) > 0 {
			add(true, v.Notify[0], "vips[%d].notify", i)
		}
		for j, h := range v.Health {
			add(false, h.CAFile, "vips[%d].health[%d].ca_file", i, j)
			add(false, h.CertFile, "vips[%d].health[%d].cert_file", i, j)
			add(false, h.KeyFile, "vips[%d].health[%d].key_file", i, j)
			add(false, h.Kubeconfig, "vips[%d].health[%d].kubeconfig", i, j)
			if len(h.Command) > 0 {
				add(true, h.Command[0], "vips[%d].health[%d].command", i, j)
			}
		}
	}
	if c.UsesEtcd() {
		add(false, c.Etcd.CAFile, "etcd.ca_file")
		add(false, c.Etcd.CertFile, "etcd.cert_file")
		add(false, c.Etcd.KeyFile, "etcd.key_file")
	}
	return all
}

// reader finds the numbers of a user and of its groups in the host's own files.
func (r root) reader(name string) (reader, error) {
	if name == "" || name == "root" {
		return reader{}, nil
	}
	who := reader{}
	found := false
	for line := range strings.Lines(r.read("/etc/passwd")) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) > 3 && f[0] == name {
			who.uid, found = number(f[2]), true
			who.gids = append(who.gids, number(f[3]))
		}
	}
	if !found {
		return who, fmt.Errorf("there is no user %s, whom vipd.service runs as; systemd-sysusers makes it", name)
	}
	for line := range strings.Lines(r.read("/etc/group")) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) > 3 && slices.Contains(strings.Split(f[3], ","), name) {
			who.gids = append(who.gids, number(f[2]))
		}
	}
	return who, nil
}

func number(text string) uint32 {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return ^uint32(0) // nobody's
	}
	return uint32(n)
}

// lookAt fills a file's facts in. The way to it counts as much as itself; who may
// not search one of its directories learns nothing.
func (r root) lookAt(f doctor.File, who reader, all bool) (doctor.File, error) {
	info, err := os.Stat(r.path(f.Path))
	switch f.Exists = err == nil; {
	case errors.Is(err, fs.ErrNotExist):
		return f, nil
	case err != nil:
		return f, err
	case all && !f.Runs:
		return f, nil
	}
	const search, read, run = 1, 4, 5
	for dir := path.Dir(f.Path); ; dir = path.Dir(dir) {
		if d, err := os.Stat(r.path(dir)); err == nil && !all && !allows(r.path(dir), d, who, search) {
			// The one nearest to / is what has to be mended first.
			f.Denied, f.Owner = dir, ownership(d)
		}
		if dir == "/" || dir == "." {
			break
		}
	}
	want := uint32(read)
	if f.Runs {
		want = run
	}
	if f.Denied == "" && !allows(r.path(f.Path), info, who, want) {
		f.Denied, f.Owner = f.Path, ownership(info)
	}
	return f, nil
}

// allows computes what the kernel would: one of the classes owner, named user,
// groups, others decides (acl(5), access check algorithm). A program's own bit to
// be run counts even for who may read all.
func allows(name string, info fs.FileInfo, who reader, want uint32) bool {
	if who.uid == 0 {
		return true
	}
	stat, ok := info.Sys().(*unixStat)
	if !ok {
		return true
	}
	mode := uint32(info.Mode().Perm())
	a := acl(name)
	switch {
	case stat.Uid == who.uid:
		return mode>>6&want == want
	case a != nil:
		return a.allows(who, stat.Gid, mode, want)
	case slices.Contains(who.gids, stat.Gid):
		return mode>>3&want == want
	}
	return mode&want == want
}

// ownership is as ls -l shows it: root:root 0600.
func ownership(info fs.FileInfo) string {
	stat, ok := info.Sys().(*unixStat)
	if !ok {
		return ""
	}
	owner, group := strconv.Itoa(int(stat.Uid)), strconv.Itoa(int(stat.Gid))
	if u, err := user.LookupId(owner); err == nil {
		owner = u.Username
	}
	if g, err := user.LookupGroupId(group); err == nil {
		group = g.Name
	}
	text := fmt.Sprintf("%s:%s %#o", owner, group, info.Mode().Perm())
	return text
}

// linked tells whether there is such a name, also one that leads nowhere.
func (r root) linked(name string) bool {
	var stat unix.Stat_t
	return unix.Lstat(r.path(name), &stat) == nil
}
