package lint

import (
	"fmt"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

var (
	inlineLink    = regexp.MustCompile(`\]\(([^)\s]+)(?:\s+"[^"]*")?\)`)
	linkReference = regexp.MustCompile(`^\[[^\]]+\]:\s+(\S+)`)
	codeSpan      = regexp.MustCompile("`[^`]*`")
	notInSlug     = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// line is one line of a Markdown file outside fenced code.
type line struct {
	pos  token.Position
	text string
}

// prose returns the lines of a Markdown file that are not in a code fence.
func (t *Tree) prose(p string) []line {
	src, err := fs.ReadFile(t.fsys, p)
	if err != nil {
		return nil // removed since the walk
	}
	var out []line
	fenced, n := false, 0
	for text := range strings.Lines(string(src)) {
		n++
		if strings.HasPrefix(strings.TrimSpace(text), "```") {
			fenced = !fenced
		} else if !fenced {
			out = append(out, line{token.Position{Filename: p, Line: n}, strings.TrimRight(text, "\r\n")})
		}
	}
	return out
}

// documents returns the Markdown files that people read.
func (t *Tree) documents() []string {
	return slices.DeleteFunc(slices.Clone(t.Paths), func(p string) bool {
		return path.Ext(p) != ".md" || inDir(p, "testdata")
	})
}

// Links checks that relative links in Markdown lead to a file, directory or
// heading of this repository.
func Links(t *Tree) []Finding {
	var out []Finding
	for _, p := range t.documents() {
		for _, l := range t.prose(p) {
			for _, target := range targets(l.text) {
				if what := t.broken(p, target); what != "" {
					out = append(out, Finding{l.pos, fmt.Sprintf("link to %s: %s", target, what),
						"a reader who follows a dead link stops believing the rest",
						"correct the link, relative to the file that it stands in"})
				}
			}
		}
	}
	return out
}

func targets(text string) []string {
	var out []string
	text = codeSpan.ReplaceAllString(text, "")
	for _, m := range inlineLink.FindAllStringSubmatch(text, -1) {
		out = append(out, m[1])
	}
	if m := linkReference.FindStringSubmatch(text); m != nil {
		out = append(out, m[1])
	}
	return out
}

// broken says what is wrong with the target of a link in the file from.
func (t *Tree) broken(from, target string) string {
	if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
		return ""
	}
	file, anchor, _ := strings.Cut(target, "#")
	to := from
	if file != "" {
		to = path.Join(path.Dir(from), file)
	}
	if !fs.ValidPath(to) {
		return "outside the repository"
	}
	if _, err := fs.Stat(t.fsys, to); err != nil {
		return "no such file"
	}
	if anchor != "" && path.Ext(to) == ".md" && !slices.Contains(t.anchors(to), anchor) {
		return "no such heading"
	}
	return ""
}

// anchors returns the names that GitHub gives to the headings of a file.
func (t *Tree) anchors(p string) []string {
	var out []string
	for _, l := range t.prose(p) {
		if title := strings.TrimLeft(l.text, "#"); title != l.text && strings.HasPrefix(title, " ") {
			slug := notInSlug.ReplaceAllString(strings.ToLower(strings.TrimSpace(title)), "")
			out = append(out, strings.ReplaceAll(slug, " ", "-"))
		}
	}
	return out
}
