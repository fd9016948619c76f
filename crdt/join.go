package crdt

import "cmp"

// Source is a document or an edit of it: something that has registers.
type Source interface {
	// Register returns the entries of one register. The caller must not
	// change them.
	Register(field, element string) []Entry
	// Elements returns the elements of a field that have entries, sorted.
	Elements(field string) []string
}

// later orders entries by stamp; the writer breaks ties, and n for entries
// of one writer, which only a list that was not made by a document holds.
func later(a, b *Entry) bool {
	return cmp.Or(cmp.Compare(a.Stamp, b.Stamp), a.Writer.Compare(b.Writer), cmp.Compare(a.N, b.N)) > 0
}

// latest reduces a list to one entry per writer, the one with the highest n:
// what a document holds. Joins are defined on it, so that a list may hold
// entries that were replaced.
func latest(entries []Entry) []Entry {
	for i := range entries {
		for j := range entries[:i] {
			if entries[i].Writer == entries[j].Writer {
				return reduce(entries)
			}
		}
	}
	return entries
}

func reduce(entries []Entry) []Entry {
	at := make(map[Writer]int, len(entries))
	var out []Entry
	for _, e := range entries {
		i, ok := at[e.Writer]
		switch {
		case !ok:
			at[e.Writer] = len(out)
			out = append(out, e)
		case e.N > out[i].N:
			out[i] = e
		}
	}
	return out
}
