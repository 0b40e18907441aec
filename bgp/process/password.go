package process

import (
	"fmt"
	"os"
	"strings"

	"github.com/vipd/vipd/bgp"
)

// maxPassword is what the kernel takes for TCP MD5 (TCP_MD5SIG_MAXKEYLEN in
// linux/tcp.h), in bytes.
const maxPassword = 80

// passwords are the contents of password files, as of a generation of the
// configuration: a reload reads them anew.
type passwords struct {
	generation uint64
	read       map[string]password
}

type password struct{ text, fault string }

// fill puts the password into a neighbour that has a file of one. Without it
// there must be no session: it would be one that anybody can end.
func (p *passwords) fill(n bgp.Neighbor, generation uint64) bgp.Neighbor {
	if n.PasswordFile == "" || n.Unusable != "" {
		return n
	}
	if p.read == nil || p.generation != generation {
		p.generation, p.read = generation, map[string]password{}
	}
	known, ok := p.read[n.PasswordFile]
	if !ok {
		known = readPassword(n.PasswordFile)
		p.read[n.PasswordFile] = known
	}
	n.Password, n.Unusable = known.text, known.fault
	return n
}

// readPassword reads the first line of a file.
func readPassword(path string) password {
	content, err := os.ReadFile(path) //nolint:gosec // the operator's own choice
	if err != nil {
		return password{fault: fmt.Sprintf("the password cannot be read: %v; mend it and run vipd reload", err)}
	}
	line, _, _ := strings.Cut(string(content), "\n")
	line = strings.TrimSuffix(line, "\r")
	if line == "" || len(line) > maxPassword {
		return password{fault: fmt.Sprintf("password_file %s: its first line has %d bytes; TCP MD5 takes 1 to %d. Mend it and run vipd reload", path, len(line), maxPassword)}
	}
	return password{text: line}
}
