package lint

import "regexp"

var testName = regexp.MustCompile("`((?:Test|Fuzz|Benchmark|Example)[A-Z_][A-Za-z0-9_]*)")

// Claims checks that a test, fuzz target, benchmark or example that a
// document names as evidence exists.
func Claims(t *Tree) []Finding {
	known := map[string]bool{}
	for _, f := range t.Files {
		if !f.inTest() {
			continue
		}
		for _, fn := range functions(f) {
			known[fn.Name.Name] = fn.Recv == nil
		}
	}
	var out []Finding
	for _, p := range t.documents() {
		for _, l := range t.prose(p) {
			for _, m := range testName.FindAllStringSubmatch(l.text, -1) {
				if !known[m[1]] {
					out = append(out, Finding{l.pos, "names " + m[1] + ", which does not exist",
						"a claim stands here only together with the command that shows it",
						"name the test as it is called now, or take the claim out"})
				}
			}
		}
	}
	return out
}
