package config

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// groupName accepts what is safe as a metric label and as an argument of the
// command line.
func groupName(s string) error {
	if len(s) > 63 || !madeOf(s, ".-_") || strings.ContainsRune(".-_", rune(s[0])) {
		return fmt.Errorf("%s is no name; use letters, digits, '.', '-' and '_', at most 63, a letter or digit first", quote(s))
	}
	return nil
}

// hostName accepts a name as hosts and DNS have them, up to 253 bytes.
func hostName(s string) error {
	if len(s) > 253 || !madeOf(s, ".-_") || strings.ContainsRune(".-", rune(s[0])) {
		return fmt.Errorf("%s is no host name", quote(s))
	}
	return nil
}

// interfaceName accepts what the kernel accepts (dev_valid_name in
// net/core/dev.c).
func interfaceName(s string) error {
	if s == "" || len(s) > 15 || s == "." || s == ".." || strings.ContainsAny(s, "/: ") || !printable(s) {
		return fmt.Errorf("%s is no interface name; those have 1 to 15 bytes without '/', ':' and spaces", quote(s))
	}
	return nil
}

// accountGroup accepts the name or the number of a group of users.
func accountGroup(s string) error {
	if len(s) > 32 || !madeOf(strings.TrimSuffix(s, "$"), ".-_") || s[0] == '-' {
		return fmt.Errorf("%s is no name of a user group", quote(s))
	}
	return nil
}

// filePath accepts an absolute path: the daemon's working directory is nobody's
// business.
func filePath(s string) error {
	switch {
	case !strings.HasPrefix(s, "/"):
		return fmt.Errorf("%s is not an absolute path", quote(s))
	case !printable(s):
		return fmt.Errorf("%s holds a character that cannot be printed", quote(s))
	}
	return nil
}

// socketPath accepts the path of a unix socket: sun_path holds 108 bytes with
// the final zero (unix(7)).
func socketPath(s string) error {
	if len(s) > 107 {
		return fmt.Errorf("%s is too long for a unix socket; use at most 107 bytes", quote(s))
	}
	return filePath(s)
}

// argument accepts what execve(2) can pass on.
func argument(s string) error {
	if strings.ContainsRune(s, 0) || !utf8.ValidString(s) {
		return fmt.Errorf("%s cannot be passed to a program", quote(s))
	}
	return nil
}

// madeOf reports whether s is not empty and of ASCII letters, digits and the
// bytes in others.
func madeOf(s, others string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		return !letter && (r < '0' || r > '9') && !strings.ContainsRune(others, r)
	})
}
