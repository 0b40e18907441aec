package config

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// documentation is docs/configuration.md.
func documentation(t *testing.T) string {
	t.Helper()
	doc, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(doc)
}

// documentedKey is a row of a table of the documentation.
type documentedKey struct{ key, defaultCell string }

// documentedKeys are the rows of all tables whose first cell is a key.
func documentedKeys(doc string) []documentedKey {
	row := regexp.MustCompile("(?m)^\\| `([^`]+)` \\| [^|]+ \\|([^|]*)\\|[^|]*\\| [^|]+ \\|$")
	var keys []documentedKey
	for _, m := range row.FindAllStringSubmatch(doc, -1) {
		keys = append(keys, documentedKey{m[1], strings.TrimSpace(m[2])})
	}
	return keys
}

// yamlBlock is a fenced block of YAML; info is what follows the word yaml.
type yamlBlock struct{ info, text string }

func yamlBlocks(doc string) []yamlBlock {
	fence := regexp.MustCompile("(?ms)^```yaml *([a-z]*)\n(.*?)^```$")
	var blocks []yamlBlock
	for _, m := range fence.FindAllStringSubmatch(doc, -1) {
		blocks = append(blocks, yamlBlock{m[1], m[2]})
	}
	return blocks
}

func TestEveryKeyIsDocumented(t *testing.T) {
	var documented []string
	for _, k := range documentedKeys(documentation(t)) {
		documented = append(documented, k.key)
	}
	schema := keyPaths()
	slices.Sort(schema)
	slices.Sort(documented)
	if diff := cmp.Diff(schema, documented); diff != "" {
		t.Errorf("in the code -, in docs/configuration.md +:\n%s", diff)
	}
}

func TestDocumentedDefaults(t *testing.T) {
	defaults := map[string]string{}
	one := smallest()
	one.BGP.Neighbors = []Neighbor{defaultNeighbor()}
	one.Hello.EtcdPeers = true // what is for etcd is written only where it is used
	file, err := Marshal(one)
	if err != nil {
		t.Fatal(err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(file, &doc); err != nil {
		t.Fatal(err)
	}
	flatten("", doc.Content[0], defaults)
	for k, v := range leaseDefaults() {
		defaults[k] = v
	}
	constant := regexp.MustCompile("^`([^`]+)`$")
	checked := 0
	for _, k := range documentedKeys(documentation(t)) {
		// A default that depends on something is told in words.
		cell := constant.FindStringSubmatch(k.defaultCell)
		if cell == nil {
			continue
		}
		text := cell[1]
		want, ok := defaults[k.key]
		if !ok {
			t.Errorf("%s has the default %s in the documentation; it is not in what Marshal writes", k.key, text)
			continue
		}
		if strings.Trim(text, `"`) != want {
			t.Errorf("%s has the default %s in the documentation and %s in the code", k.key, text, want)
		}
		checked++
	}
	if checked < 30 {
		t.Errorf("only %d defaults were found in the documentation", checked)
	}
}

// leaseDefaults are those of the keys that are written for election: etcd only.
func leaseDefaults() map[string]string {
	at := "vips[].etcd"
	all := map[string]string{}
	l := defaultVIP().Etcd
	all[member(at, "ttl")] = l.TTL.String()
	all[member(at, "bootstrap")] = string(l.Bootstrap)
	all[member(at, "without_etcd")] = string(l.WithoutEtcd)
	return all
}

// flatten lists single values and empty lists by their key.
func flatten(at string, n *yaml.Node, into map[string]string) {
	switch {
	case n.Kind == yaml.MappingNode:
		for i := 0; i < len(n.Content); i += 2 {
			flatten(member(at, n.Content[i].Value), n.Content[i+1], into)
		}
	case n.Kind == yaml.SequenceNode && len(n.Content) > 0:
		flatten(at+"[]", n.Content[0], into)
	case n.Kind == yaml.SequenceNode:
		into[at] = "[]"
	default:
		into[at] = n.Value
	}
}

func TestDocumentedExamples(t *testing.T) {
	used := map[string]bool{}
	for _, b := range yamlBlocks(documentation(t)) {
		if b.info == "resolved" {
			want, err := Marshal(smallest())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), b.text); diff != "" {
				t.Errorf("Marshal -, documentation +:\n%s", diff)
			}
		}
		parsed(t, b.text)
		var doc yaml.Node
		if err := yaml.Unmarshal([]byte(b.text), &doc); err != nil {
			t.Fatal(err)
		}
		usedKeys("", doc.Content[0], used)
	}
	for _, key := range keyPaths() {
		if !used[key] {
			t.Errorf("%s is in no example", key)
		}
	}
}

// usedKeys lists the keys of a file, as keyPaths does.
func usedKeys(at string, n *yaml.Node, into map[string]bool) {
	into[at] = true
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i < len(n.Content); i += 2 {
			usedKeys(member(at, n.Content[i].Value), n.Content[i+1], into)
		}
	case yaml.SequenceNode:
		for _, c := range n.Content {
			usedKeys(at+"[]", c, into)
		}
	default:
		// A single value has no keys.
	}
}

func TestDocumentedRestartKeys(t *testing.T) {
	_, section, ok := strings.Cut(documentation(t), "These keys take effect at the next start")
	if !ok {
		t.Fatal("the documentation does not say which keys need a restart")
	}
	var documented []string
	for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(section, -1) {
		documented = append(documented, m[1])
	}
	if diff := cmp.Diff(Diff(smallest(), everythingElse()).Restart, documented); diff != "" {
		t.Errorf("in the code -, in docs/configuration.md +:\n%s", diff)
	}
}
