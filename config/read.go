package config

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// readKeys reads the mapping n into a section. Keys that are missing leave
// what stands in into, the default.
func readKeys[T any](f *findings, at string, n *yaml.Node, keys []key[T], into *T) {
	if !shaped(f, at, n, yaml.MappingNode) {
		return
	}
	for i := 0; i+1 < len(n.Content) && !f.full(); i += 2 {
		name, content := n.Content[i], n.Content[i+1]
		if name.Kind != yaml.ScalarNode || name.Tag == "!!merge" || name.Anchor != "" {
			f.addAt(name.Line, at, "has a key that is not a plain word")
			continue
		}
		path := member(at, quote(name.Value))
		known := slices.IndexFunc(keys, func(k key[T]) bool { return k.name == name.Value })
		if known < 0 {
			unknownKey(f, at, name, keys)
			continue
		}
		if f.written(path) {
			f.addAt(name.Line, path, "is already on line %d; write each key once", f.line(path))
			continue
		}
		f.lines[path] = name.Line
		keys[known].value.read(f, path, content, into)
	}
}

// unknownKey reports a key that the schema does not have, with the one that
// was probably meant. What a misspelt key was meant to give is not reported as
// missing as well.
func unknownKey[T any](f *findings, at string, name *yaml.Node, keys []key[T]) {
	path := member(at, quote(name.Value))
	if near := nearest(name.Value, names(keys)); near != "" {
		f.addAt(name.Line, path, "unknown key; did you mean %s?", near)
		f.bad[member(at, near)] = true
		return
	}
	for _, known := range keyPaths() {
		if section, found := strings.CutSuffix(known, "."+name.Value); found {
			f.addAt(name.Line, path, "unknown key here; it belongs to %s", section)
			return
		}
	}
	f.addAt(name.Line, path, "unknown key")
}

// readScalar is the text of n, read as a value of kind k.
func readScalar[V any](f *findings, at string, n *yaml.Node, k kind[V]) (V, bool) {
	var none V
	if !shaped(f, at, n, yaml.ScalarNode) {
		return none, false
	}
	v, err := k.parse(n.Value)
	if err != nil {
		f.reject(at, "%s", err)
		return none, false
	}
	return v, true
}

// maxElements bounds every list, far above what any needs.
const maxElements = 1000

// readElements calls read for each element of the list n.
func readElements(f *findings, at string, n *yaml.Node, read func(at string, n *yaml.Node)) bool {
	if !shaped(f, at, n, yaml.SequenceNode) {
		return false
	}
	if len(n.Content) > maxElements {
		f.reject(at, "has %d elements; at most %d are read", len(n.Content), maxElements)
		return false
	}
	for i, content := range n.Content {
		path := element(at, i)
		f.lines[path] = content.Line
		read(path, content)
	}
	return true
}

// shaped reports whether n is written the way its key wants it. It rejects the
// key if not.
func shaped(f *findings, at string, n *yaml.Node, want yaml.Kind) bool {
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		rejectShape(f, at, n, "anchors and aliases are not supported; write the value out")
	case n.Style&yaml.TaggedStyle != 0:
		rejectShape(f, at, n, "tags are not supported; remove "+quote(n.Tag))
	case n.Kind == yaml.ScalarNode && n.Tag == "!!null":
		rejectShape(f, at, n, "has no value; write one or remove the key")
	case n.Kind != want:
		rejectShape(f, at, n, "must be "+shape(want)+", here is "+shape(n.Kind))
	default:
		return true
	}
	return false
}

func rejectShape(f *findings, at string, n *yaml.Node, text string) {
	if at == "" {
		f.addAt(n.Line, "", "%s", text)
		return
	}
	f.reject(at, "%s", text)
}

// shape names a kind of node for people.
func shape(k yaml.Kind) string {
	switch k {
	case yaml.MappingNode:
		return "keys with values"
	case yaml.SequenceNode:
		return "a list"
	case yaml.ScalarNode:
		return "a single value"
	case yaml.DocumentNode, yaml.AliasNode:
	}
	panic("config: no key has a value of this kind")
}
