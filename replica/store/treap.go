package store

import (
	"bytes"
	"hash/fnv"
)

// node is a node of a treap: a search tree over (table, key) that is also a
// heap over priority, which a hash of the key gives, so that it is balanced in
// expectation and its shape depends on nothing but its contents. Nodes are
// never changed once they can be reached: put and del copy the path from the
// root, and an old root is a snapshot.
type node struct {
	table       Table
	key, value  []byte
	priority    uint64
	left, right *node
}

func newNode(t Table, key, value []byte) *node {
	h := fnv.New64a()
	h.Write([]byte{byte(t)})
	h.Write(key)
	p := h.Sum64()
	p = (p ^ p>>33) * 0xff51afd7ed558ccd // the finalizer of MurmurHash3: FNV alone leaves similar keys near each other
	p = (p ^ p>>33) * 0xc4ceb9fe1a85ec53
	return &node{table: t, key: key, value: value, priority: p ^ p>>33}
}

// compare orders (t, key) against the node.
func (n *node) compare(t Table, key []byte) int {
	if t != n.table {
		return int(t) - int(n.table)
	}
	return bytes.Compare(key, n.key)
}

func (n *node) get(t Table, key []byte) *node {
	for n != nil {
		c := n.compare(t, key)
		if c == 0 {
			return n
		}
		if c < 0 {
			n = n.left
		} else {
			n = n.right
		}
	}
	return nil
}

// put returns the tree n with x added, or in the place of the node with its key.
func (n *node) put(x *node) *node {
	switch {
	case n == nil:
		return x
	case n.compare(x.table, x.key) == 0:
		x.left, x.right = n.left, n.right
		return x
	case n.priority < x.priority:
		x.left, x.right = n.split(x.table, x.key)
		return x
	}
	c := *n
	if n.compare(x.table, x.key) < 0 {
		c.left = n.left.put(x)
	} else {
		c.right = n.right.put(x)
	}
	return &c
}

// split returns the nodes below and those above (t, key), which is not in n:
// its own node would have had the same priority and been found before.
func (n *node) split(t Table, key []byte) (below, above *node) {
	if n == nil {
		return nil, nil
	}
	c := *n
	if n.compare(t, key) < 0 {
		below, c.left = n.left.split(t, key)
		return below, &c
	}
	c.right, above = n.right.split(t, key)
	return &c, above
}

// del returns the tree n without (t, key).
func (n *node) del(t Table, key []byte) *node {
	if n.get(t, key) == nil {
		return n
	}
	return n.cut(t, key)
}

func (n *node) cut(t Table, key []byte) *node {
	c := *n
	switch cmp := n.compare(t, key); {
	case cmp == 0:
		return join(n.left, n.right)
	case cmp < 0:
		c.left = n.left.cut(t, key)
	default:
		c.right = n.right.cut(t, key)
	}
	return &c
}

// join returns one tree of two of which the first is below the second.
func join(below, above *node) *node {
	switch {
	case below == nil:
		return above
	case above == nil:
		return below
	case below.priority >= above.priority:
		c := *below
		c.right = join(below.right, above)
		return &c
	default:
		c := *above
		c.left = join(below, above.left)
		return &c
	}
}

// ascend calls fn in order for the nodes from (t, from) on, until it returns
// false; it returns whether it got to the end.
func (n *node) ascend(t Table, from []byte, fn func(*node) bool) bool {
	if n == nil {
		return true
	}
	if n.compare(t, from) > 0 {
		return n.right.ascend(t, from, fn)
	}
	return n.left.ascend(t, from, fn) && fn(n) && n.right.ascend(t, from, fn)
}
