package config

import "go.yaml.in/yaml/v3"

// key is one row of the schema: a key of the section T.
type key[T any] struct {
	name  string
	value value[T]
	// effect is what a change of the value means for a running daemon.
	effect effect
	// when says for which sections the key is; nil: for all.
	when func(*T) bool
}

func (k key[T]) applies(to *T) bool { return k.when == nil || k.when(to) }

// effect is what a change of a key means for a running daemon: a part of its
// group, or, for keys of the daemon, whether only a restart brings it.
type effect struct {
	group   Aspect
	restart bool
}

// value is how the value of a key of the section T is read, written, compared
// and listed.
type value[T any] struct {
	read  func(f *findings, at string, n *yaml.Node, into *T)
	write func(from *T) *yaml.Node
	// changed calls visit for each key at or below at that differs.
	changed func(at string, e effect, a, b *T, visit func(key string, e effect))
	// paths lists the keys below, as keyPaths does.
	paths func(at string) []string
}

// one is a key with a single value.
func one[T, V any](k kind[V], field func(*T) *V) value[T] {
	return leaf(
		func(f *findings, at string, n *yaml.Node, into *T) {
			if v, ok := readScalar(f, at, n, k); ok {
				*field(into) = v
			}
		},
		func(from *T) *yaml.Node { return k.node(*field(from)) },
	)
}

// list is a key with a list of single values. An element that cannot be used
// stays in the list as the zero value, so that the others keep their index.
func list[T, V any](k kind[V], field func(*T) *[]V) value[T] {
	return leaf(
		func(f *findings, at string, n *yaml.Node, into *T) {
			var vs []V
			if readElements(f, at, n, func(at string, n *yaml.Node) {
				v, _ := readScalar(f, at, n, k)
				vs = append(vs, v)
			}) {
				*field(into) = vs
			}
		},
		func(from *T) *yaml.Node {
			n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
			for _, v := range *field(from) {
				n.Content = append(n.Content, k.node(v))
			}
			return n
		},
	)
}

// sections is a key with a list of sections, each of which starts as fresh.
func sections[T, S any](keys func() []key[S], fresh func() S, field func(*T) *[]S) value[T] {
	v := leaf(
		func(f *findings, at string, n *yaml.Node, into *T) {
			var ss []S
			if readElements(f, at, n, func(at string, n *yaml.Node) {
				s := fresh()
				readKeys(f, at, n, keys(), &s)
				ss = append(ss, s)
			}) {
				*field(into) = ss
			}
		},
		func(from *T) *yaml.Node {
			n := &yaml.Node{Kind: yaml.SequenceNode}
			for i := range *field(from) {
				n.Content = append(n.Content, writeKeys(keys(), &(*field(from))[i], 0))
			}
			if len(n.Content) == 0 {
				n.Style = yaml.FlowStyle
			}
			return n
		},
	)
	v.paths = func(at string) []string { return paths(at+"[]", keys()) }
	return v
}

// section is a key with keys of its own, written in the given style.
func section[T, S any](keys func() []key[S], style yaml.Style, field func(*T) *S) value[T] {
	return value[T]{
		read: func(f *findings, at string, n *yaml.Node, into *T) {
			readKeys(f, at, n, keys(), field(into))
		},
		write: func(from *T) *yaml.Node { return writeKeys(keys(), field(from), style) },
		changed: func(at string, _ effect, a, b *T, visit func(string, effect)) {
			changedKeys(at, keys(), field(a), field(b), visit)
		},
		paths: func(at string) []string { return paths(at, keys()) },
	}
}

// leaf is a value that is compared as a whole, by what would be written.
func leaf[T any](read func(*findings, string, *yaml.Node, *T), write func(*T) *yaml.Node) value[T] {
	return value[T]{
		read:  read,
		write: write,
		changed: func(at string, e effect, a, b *T, visit func(string, effect)) {
			if !same(write(a), write(b)) {
				visit(at, e)
			}
		},
		paths: func(string) []string { return nil },
	}
}

// writeKeys is a section as a mapping, in the order of the schema.
func writeKeys[T any](keys []key[T], from *T, style yaml.Style) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode, Style: style}
	for _, k := range keys {
		if k.applies(from) {
			n.Content = append(n.Content, textNode(k.name), k.value.write(from))
		}
	}
	return n
}

// changedKeys calls visit for each key of a section that differs.
func changedKeys[T any](at string, keys []key[T], a, b *T, visit func(key string, e effect)) {
	for _, k := range keys {
		k.value.changed(member(at, k.name), k.effect, a, b, visit)
	}
}

// same reports whether two nodes were written from equal values.
func same(a, b *yaml.Node) bool {
	if a.Kind != b.Kind || a.Value != b.Value || len(a.Content) != len(b.Content) {
		return false
	}
	for i := range a.Content {
		if !same(a.Content[i], b.Content[i]) {
			return false
		}
	}
	return true
}

// paths lists the keys of a section and below, in the order of the schema.
func paths[T any](at string, keys []key[T]) []string {
	all := make([]string, 0, len(keys))
	for _, k := range keys {
		path := member(at, k.name)
		all = append(all, path)
		all = append(all, k.value.paths(path)...)
	}
	return all
}

// names lists the keys of one section.
func names[T any](keys []key[T]) []string {
	all := make([]string, len(keys))
	for i, k := range keys {
		all[i] = k.name
	}
	return all
}
