package udp

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// firewallRules are the nft commands of docs/peers.md.
func firewallRules(t *testing.T) []string {
	t.Helper()
	doc, err := os.ReadFile("../../docs/peers.md")
	must(t, err)
	block := regexp.MustCompile("(?s)```nft\n(.*?)```").FindSubmatch(doc)
	if block == nil {
		t.Fatal("docs/peers.md shows no nft rule")
	}
	return strings.Split(strings.TrimSpace(string(block[1])), "\n")
}
