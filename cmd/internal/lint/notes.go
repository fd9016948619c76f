package lint

import (
	"fmt"
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strings"
)

// note is a reason that the code gives for setting a rule aside.
type note struct {
	kind    string // allow, long, order-free, unreachable
	subject string // what is allowed, for kind allow
	reason  string
	pos     token.Position
	last    int // the last line of the comment group that holds it
	used    bool
}

// readNotes finds the notes in the comments of f.
func (t *Tree) readNotes(f *File) []*note {
	var notes []*note
	for _, group := range f.AST.Comments {
		last := t.pos(group.End()).Line
		for _, c := range group.List {
			if n := parseNote(c.Text); n != nil {
				n.pos, n.last = t.pos(c.Pos()), last
				notes = append(notes, n)
			}
		}
	}
	return notes
}

func parseNote(comment string) *note {
	if rest, ok := strings.CutPrefix(comment, "//lint:allow "); ok {
		subject, reason, _ := strings.Cut(rest, " ")
		return &note{kind: "allow", subject: subject, reason: reason}
	}
	for prefix, kind := range map[string]string{
		"//lint:long":     "long",
		"// order-free:":  "order-free",
		"// unreachable:": "unreachable",
	} {
		if rest, ok := strings.CutPrefix(comment, prefix); ok {
			return &note{kind: kind, reason: strings.TrimSpace(rest)}
		}
	}
	return nil
}

// excused says whether the line of pos, or the comment directly above it,
// holds a note of that kind and subject, and marks the note as used.
func (t *Tree) excused(f *File, pos token.Pos, kind, subject string) bool {
	line := t.pos(pos).Line
	return f.excusedBetween(line, line, kind, subject)
}

// excusedBetween is excused for a node that spans several lines.
func (f *File) excusedBetween(first, last int, kind, subject string) bool {
	i := slices.IndexFunc(f.notes, func(n *note) bool {
		return n.kind == kind && n.subject == subject && n.last >= first-1 && n.pos.Line <= last
	})
	if i >= 0 {
		f.notes[i].used = true
	}
	return i >= 0
}

// Notes checks that each note has a reason and still excuses something, and
// that no comment puts work off.
func Notes(t *Tree) []Finding {
	var out []Finding
	for _, f := range t.Files {
		for _, n := range f.notes {
			out = append(out, checkNote(f, n)...)
		}
		for _, group := range f.AST.Comments {
			out = append(out, postponed(t, group)...)
		}
	}
	return out
}

// checkNote leaves order-free alone outside the pure packages, where it is a
// comment like any other.
func checkNote(f *File, n *note) []Finding {
	inPure, _ := pure(f.Dir())
	if len(strings.Fields(n.reason)) < 2 {
		return []Finding{{n.pos, fmt.Sprintf("%s without a reason", n.kind),
			"the next reader has to know why the rule does not hold here, or cannot tell whether it still does not",
			"give the reason in the same comment, in two words or more"}}
	}
	if !n.used && (inPure || n.kind != "order-free") {
		return []Finding{{n.pos, fmt.Sprintf("%s excuses nothing", strings.TrimSpace(n.kind+" "+n.subject)),
			"a reason that outlives its cause hides the next breach on that line",
			"delete the comment, or put it on the line, or directly above the line, that it excuses"}}
	}
	return nil
}

var postponement = regexp.MustCompile(`^(?://|/\*)\s*(TODO|FIXME|XXX|HACK)\b`)

func postponed(t *Tree, group *ast.CommentGroup) []Finding {
	var out []Finding
	for _, c := range group.List {
		if m := postponement.FindStringSubmatch(c.Text); m != nil {
			out = append(out, Finding{t.pos(c.Pos()), "comment puts work off: " + m[1],
				"what is merged here is finished; a list of what is missing that lives in comments is read by nobody",
				"do it now, or state the limit as a fact in the package comment and open an issue"})
		}
	}
	return out
}
