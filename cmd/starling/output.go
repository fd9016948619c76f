package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"unicode"

	"golang.org/x/term"
	"golang.org/x/text/width"
)

// say prints what was done, in one line of English.
func (a *app) say(format string, args ...any) error {
	_, err := fmt.Fprintln(a.stdout, shown(fmt.Sprintf(format, args...)))
	return err
}

// emit prints one JSON value in one line.
func (a *app) emit(v any) error {
	enc := json.NewEncoder(a.stdout)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// report prints v as JSON with --json, and otherwise the sentence.
func (a *app) report(v any, format string, args ...any) error {
	if a.json {
		return a.emit(v)
	}
	return a.say(format, args...)
}

// count is a number with its noun.
func count[N int | int64 | uint64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// progress tells a person who waits at a terminal how things stand.
func (a *app) progress(format string, args ...any) {
	if !a.json && term.IsTerminal(int(a.stderr.Fd())) {
		fmt.Fprintln(a.stderr, shown(fmt.Sprintf(format, args...)))
	}
}

// shown takes out what would move the cursor or turn the text of a terminal
// around: names and ids come from other people.
func shown(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r):
			return ' '
		case r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069':
			return -1
		}
		return r
	}, s)
}

// table prints rows under a head in aligned columns, or none when there are
// no rows.
func (a *app) table(head []string, rows [][]string, none string) error {
	if len(rows) == 0 {
		return a.say("%s", none)
	}
	_, err := fmt.Fprint(a.stdout, aligned(append([][]string{head}, rows...)))
	return err
}

// aligned puts two blanks between columns as wide as their widest cell.
func aligned(rows [][]string) string {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], columns(shown(cell)))
		}
	}
	var out strings.Builder
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			cell = shown(cell)
			line.WriteString(cell + strings.Repeat(" ", widths[i]-columns(cell)+2))
		}
		out.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return out.String()
}

// columns is how many columns of a terminal s takes (Unicode Annex 11).
func columns(s string) int {
	n := 0
	for _, r := range s {
		switch k := width.LookupRune(r).Kind(); {
		case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		case k == width.EastAsianWide || k == width.EastAsianFullwidth:
			n += 2
		default:
			n++
		}
	}
	return n
}

// bold marks a heading on a terminal, unless NO_COLOR asks for none.
func bold(f *os.File, s string) string {
	if os.Getenv("NO_COLOR") != "" || !term.IsTerminal(int(f.Fd())) {
		return s
	}
	return "\x1b[1m" + s + "\x1b[0m"
}

// readLine returns the next line of standard input without its end.
func (a *app) readLine() (string, error) {
	var line []byte
	for {
		part, err := a.lines.ReadSlice('\n')
		if line = append(line, part...); len(line) > 64<<10 {
			return "", errors.New("standard input: the line is longer than 64 KiB")
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil && len(line) == 0:
			return "", err
		}
		return strings.TrimRight(string(line), "\r\n"), nil
	}
}
