package config

import (
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"
)

// Draft is a YAML file that is being written for an operator: only the keys
// that somebody chose, in that order, each with a comment if it needs one
// (empty: none). Whether it is a good configuration is for Parse to say.
type Draft struct{ node *yaml.Node }

// NewDraft returns an empty draft that begins with a comment, whose lines
// begin with '#'.
func NewDraft(comment string) *Draft {
	return &Draft{&yaml.Node{Kind: yaml.MappingNode, HeadComment: comment}}
}

// Text writes a key with a single value.
func (d *Draft) Text(key, value, comment string) {
	n := textNode(value)
	n.LineComment = comment
	d.put(key, n)
}

// Number writes a key with a number.
func (d *Draft) Number(key string, value int, comment string) {
	d.put(key, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.Itoa(value), LineComment: comment})
}

// Duration writes a key with a duration.
func (d *Draft) Duration(key string, value time.Duration, comment string) {
	d.Text(key, formatDuration(value), comment)
}

// List writes a key with a list of values on one line.
func (d *Draft) List(key string, values []string, comment string) {
	n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle, LineComment: comment}
	for _, v := range values {
		n.Content = append(n.Content, textNode(v))
	}
	d.put(key, n)
}

// Section begins the section of a key and returns it.
func (d *Draft) Section(key string) *Draft {
	s := &Draft{&yaml.Node{Kind: yaml.MappingNode}}
	d.put(key, s.node)
	return s
}

// Element appends a section to the list of a key and returns it.
func (d *Draft) Element(key string) *Draft {
	s := &Draft{&yaml.Node{Kind: yaml.MappingNode}}
	for i := 0; i < len(d.node.Content); i += 2 {
		if d.node.Content[i].Value == key {
			list := d.node.Content[i+1]
			list.Content = append(list.Content, s.node)
			return s
		}
	}
	d.put(key, &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{s.node}})
	return s
}

// YAML is the draft as a file.
func (d *Draft) YAML() ([]byte, error) { return encode(d.node) }

func (d *Draft) put(key string, value *yaml.Node) {
	d.node.Content = append(d.node.Content, textNode(key), value)
}
