package relay_test

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sparekey/sparekey/relay/wire"
)

// A node is a line of YAML with what is indented below it: all of the language
// that openapi.yaml uses outside its flow values.
type node struct {
	key, value string
	kids       []*node
}

func (n *node) at(path ...string) *node {
	for _, key := range path {
		i := slices.IndexFunc(n.kids, func(k *node) bool { return k.key == key })
		if i < 0 {
			return &node{}
		}
		n = n.kids[i]
	}
	return n
}

func (n *node) keys() (out []string) {
	for _, k := range n.kids {
		out = append(out, k.key)
	}
	return out
}

var reference = regexp.MustCompile(`#/([\w/]+)"`)

// follow returns the node that n refers to, or n.
func (n *node) follow(root *node) *node {
	if to := reference.FindStringSubmatch(n.value + n.at("$ref").value); to != nil {
		return root.at(strings.Split(to[1], "/")...)
	}
	return n
}

func readYAML(t *testing.T, name string) *node {
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	type level struct {
		indent int
		n      *node
	}
	root := &node{}
	stack := []level{{-1, root}}
	for text := range strings.Lines(string(b)) {
		text = strings.TrimRight(text, "\n")
		indent := len(text) - len(strings.TrimLeft(text, " "))
		key, value, _ := strings.Cut(strings.TrimSpace(text), ": ")
		key = strings.Trim(strings.TrimSuffix(strings.TrimPrefix(key, "- "), ":"), `"`)
		if key == "$ref" { // an item of a list
			value = strings.TrimSpace(text)
		}
		for stack[len(stack)-1].indent >= indent {
			stack = stack[:len(stack)-1]
		}
		n := &node{key: key, value: value}
		up := stack[len(stack)-1].n
		up.kids = append(up.kids, n)
		stack = append(stack, level{indent, n})
	}
	return root
}

// An operation is a method of a path, and what it answers by status.
type operation struct {
	id       string
	security []string // the ways to show a right to it, each as the schemes that it takes
	query    []string
	answers  map[int]*reply
}

// A reply is what a status comes with.
type reply struct {
	media   string
	types   map[wire.Type]bool
	headers map[string]bool // of those below: true if it is always there
}

// told are the headers that the document tells of.
var told = []string{wire.HeaderExpires, "Retry-After"}

var ticked = regexp.MustCompile("`([a-z-]+)`")

func documented(t *testing.T, doc *node) map[string]*operation {
	ops := map[string]*operation{}
	for _, path := range doc.at("paths").kids {
		for _, method := range path.kids {
			if method.key == "parameters" {
				continue
			}
			op := &operation{id: method.at("operationId").value, answers: map[int]*reply{}}
			for _, way := range method.at("security").kids {
				op.security = append(op.security, strings.Join(append([]string{way.key}, way.keys()...), "+"))
			}
			for _, p := range method.at("parameters").kids {
				op.query = append(op.query, p.follow(doc).at("name").value)
			}
			for _, r := range method.at("responses").kids {
				status, err := strconv.Atoi(r.key)
				if err != nil {
					t.Fatalf("openapi.yaml: %s is no status", r.key)
				}
				op.answers[status] = documentedReply(t, doc, r.follow(doc))
			}
			ops[strings.ToUpper(method.key)+" "+path.key] = op
		}
	}
	return ops
}

func documentedReply(t *testing.T, doc, r *node) *reply {
	if r.at("description").value == "" {
		t.Fatalf("openapi.yaml: %s isn't described", r.key)
	}
	out := &reply{media: strings.Join(r.at("content").keys(), " "), types: map[wire.Type]bool{}, headers: map[string]bool{}}
	for _, h := range r.at("headers").kids {
		out.headers[h.key] = h.follow(doc).at("required").value == "true"
	}
	if out.media == wire.TypeProblem {
		for _, name := range ticked.FindAllStringSubmatch(r.at("description").value, -1) {
			out.types[wire.Type("urn:sparekey:problem:"+name[1])] = true
		}
	}
	return out
}

func typeNames(types map[wire.Type]bool) string {
	var out []string
	for _, t := range slices.Sorted(maps.Keys(types)) {
		out = append(out, strings.TrimPrefix(string(t), "urn:sparekey:problem:"))
	}
	return strings.Join(out, " ")
}

// template is a path as the document writes it.
func template(path string) string {
	path, _, _ = strings.Cut(path, "?")
	const box = "/v1/mailboxes/{id}"
	return map[wire.Place]string{
		wire.Mailbox: box, wire.Offer: box + "/offer/{epoch}", wire.Lane: box + "/lanes/{lane}", wire.Log: box + "/lanes/{lane}/{side}",
		wire.Entry: box + "/lanes/{lane}/{side}/{seq}", wire.Claims: box + "/claims", wire.Confirm: box + "/confirm", wire.Page: "/s/{id}",
		wire.Health: "/healthz", wire.Ready: "/readyz",
	}[wire.ParsePath(path).Place]
}
