package process

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/bgp"
)

// keyring is passwords with one file, and a clock.
type keyring struct {
	passwords
	t    *testing.T
	file string
	now  time.Time
	said bytes.Buffer
}

func newKeyring(t *testing.T) *keyring {
	t.Helper()
	k := &keyring{t: t, file: filepath.Join(t.TempDir(), "password"), now: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)}
	k.passwords = passwords{files: map[string]*passwordFile{}, log: slog.New(slog.NewTextHandler(&k.said, nil))}
	return k
}

func (k *keyring) write(text string, mode os.FileMode) {
	k.t.Helper()
	if err := os.WriteFile(k.file, []byte(text), mode); err != nil {
		k.t.Fatal(err)
	}
}

// filled asks until what was being read is there.
func (k *keyring) filled(generation uint64) (text, fault string) {
	k.t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		n := k.fill(k.now, bgp.Neighbor{PasswordFile: k.file}, generation)
		if k.files[k.file].reading == nil {
			return n.Password, n.Unusable
		}
	}
	k.t.Fatal("a file was being read for ever")
	return "", ""
}

func TestPasswordFiles(t *testing.T) {
	const again = "read again within 1m0s"
	rows := []struct {
		name, content string
		text          string
		fault         string
	}{
		{"a line", "secret\n", "secret", ""},
		{"without an end", "secret", "secret", ""},
		{"of a Windows host", "secret\r\n", "secret", ""},
		{"its first line only", "secret\nother\n", "secret", ""},
		{"the longest", strings.Repeat("x", maxPassword) + "\n", strings.Repeat("x", maxPassword), ""},
		{"one byte more", strings.Repeat("x", maxPassword+1), "", "its first line has 81 bytes; TCP MD5 takes 1 to 80. Mend it, and it is " + again},
		{"far more", strings.Repeat("x", 1<<20), "", "its first line has 128 bytes or more; TCP MD5 takes 1 to 80. Mend it, and it is " + again},
		{"an empty one", "", "", "its first line has 0 bytes; TCP MD5 takes 1 to 80. Mend it, and it is " + again},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			k := newKeyring(t)
			k.write(row.content, 0o600)
			text, fault := k.filled(1)
			if text != row.text || strings.TrimPrefix(fault, fmt.Sprintf("password_file %s: ", k.file)) != row.fault {
				t.Errorf("%q, %q", text, fault)
			}
		})
	}
}

func TestAPasswordFileIsReadAgainUntilItIsUsable(t *testing.T) {
	k := newKeyring(t)
	if _, fault := k.filled(1); !strings.Contains(fault, "no such file") {
		t.Errorf("not there: %q", fault)
	}
	k.write("secret\n", 0o600)
	if _, fault := k.filled(1); fault == "" {
		t.Error("read again at once")
	}
	k.now = k.now.Add(firstRetry)
	if text, fault := k.filled(1); text != "secret" || fault != "" {
		t.Errorf("after a while: %q, %q", text, fault)
	}
	k.write("other\n", 0o600)
	k.now = k.now.Add(maxRetry)
	if text, _ := k.filled(1); text != "secret" {
		t.Errorf("without a reload: %q", text)
	}
	if text, _ := k.filled(2); text != "other" {
		t.Errorf("after a reload: %q", text)
	}
}

func TestAPasswordFileThatHangsKeepsNobodyWaiting(t *testing.T) {
	k := newKeyring(t)
	k.write("secret\n", 0o600)
	if text, fault := k.filled(1); text != "secret" {
		t.Fatalf("%q, %q", text, fault)
	}
	f := k.files[k.file]
	f.reading = make(chan password, 1) // a file system that does not answer
	for range 3 {
		if n := k.fill(k.now, bgp.Neighbor{PasswordFile: k.file}, 2); n.Password != "secret" || n.Unusable != "" {
			t.Errorf("while it is read: %+v", n)
		}
	}
	f.reading <- password{text: "late"}
	if n := k.fill(k.now, bgp.Neighbor{PasswordFile: k.file}, 2); n.Password != "late" {
		t.Errorf("at last: %+v", n)
	}
}

func TestWhatIsNoRegularFileIsNoPassword(t *testing.T) {
	k := newKeyring(t)
	if err := unix.Mkfifo(k.file, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, fault := k.filled(1); !strings.Contains(fault, "is no regular file") {
		t.Errorf("a pipe: %q", fault)
	}
}

func TestAPasswordThatEverybodyCanReadIsWarnedOf(t *testing.T) {
	for mode, want := range map[os.FileMode]bool{0o600: false, 0o640: false, 0o644: true} {
		k := newKeyring(t)
		k.write("secret\n", 0o600)
		if err := os.Chmod(k.file, mode); err != nil {
			t.Fatal(err)
		}
		if text, _ := k.filled(1); text != "secret" {
			t.Errorf("%v: %q", mode, text)
		}
		if got := strings.Contains(k.said.String(), "open to everybody"); got != want {
			t.Errorf("%v: %q", mode, k.said.String())
		}
	}
}
