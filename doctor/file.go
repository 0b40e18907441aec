package doctor

import (
	"fmt"
	"strings"
)

// File is a file that the daemon reads or runs.
type File struct {
	Key, Path string
	// Exists: it is there, as far as this command can see.
	Exists bool
	// Denied is what keeps the daemon's user from it, the path of a directory or of
	// the file itself; empty: nothing does.
	Denied string
	// Owner is the owner and mode of Denied: root:root 0600.
	Owner string
	// Runs: it is run, not read.
	Runs bool
}

// Unit is what systemd knows of vipd.
type Unit struct {
	// Path is that of vipd.service; empty: it is not installed.
	Path string
	// Enabled: it is started at boot.
	Enabled bool
	// User is whom the daemon runs as.
	User string
	// ReadsAll: it may read files whatever their mode says (vipd-keys.conf).
	ReadsAll bool
}

// kubernetesDir is where kubeadm puts what does not exist before it ran.
const kubernetesDir = "/etc/kubernetes/"

// judgeFiles looks whether the daemon's user gets at the files that the
// configuration names.
func judgeFiles(f *Facts, v *verdict) {
	if f.Config == nil {
		v.cannot(noConfiguration)
		return
	}
	files, _ := seen(v, f.Files)
	for _, file := range files {
		switch {
		case !file.Exists && strings.HasPrefix(file.Path, kubernetesDir) && !f.Initialised:
			v.found(FileMissing, Info, file.Path, file.Key+" names it, and it is not there before kubeadm has run; the check waits for it",
				"nothing, if kubeadm init or join comes next")
		case !file.Exists:
			v.found(FileMissing, Error, file.Path, file.Key+" names it, and it is not there", "put the file there, or correct "+file.Key+" in "+f.Path)
		case file.Denied != "":
			judgeDenied(f, v, file)
		}
	}
}

func judgeDenied(f *Facts, v *verdict, file File) {
	verb, fix := "read", fmt.Sprintf("chgrp %[1]s %[2]s && chmod g+r %[2]s", f.Unit.User, file.Path)
	switch {
	case file.Denied != file.Path:
		fix = "chmod o+x " + file.Denied
		if file.Runs {
			verb = "run"
		}
	case file.Runs:
		verb, fix = "run", "chmod o+rx "+file.Path
	}
	if strings.HasPrefix(file.Path, kubernetesDir) {
		// kubeadm writes its files anew with its own mode.
		fix = "install -D -m 644 /usr/share/vipd/vipd-keys.conf /etc/systemd/system/vipd.service.d/vipd-keys.conf && systemctl daemon-reload && systemctl restart vipd"
	}
	v.found(FileUnreadable, Error, file.Path,
		fmt.Sprintf("%s names it, and the user %s, whom the daemon runs as, cannot %s it: %s is %s", file.Key, f.Unit.User, verb, file.Denied, file.Owner), fix)
}
