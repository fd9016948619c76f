package cardfile

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	"github.com/starling-sync/starling/replica/localapi/client"
)

// lineReader gives the physical lines of a file, counted from 1, without
// their ends, within the limits of a file and of a card.
type lineReader struct {
	r      *bufio.Reader
	number int
}

// newLineReader also undoes UTF-16 and drops a byte order mark.
func newLineReader(r io.Reader) *lineReader {
	bounded := &boundedReader{r: r, left: MaxFile}
	decoded := transform.NewReader(bounded, unicode.BOMOverride(transform.Nop))
	return &lineReader{r: bufio.NewReaderSize(decoded, 32<<10)}
}

// next returns io.EOF behind the last line. The line is the caller's.
func (l *lineReader) next() (string, error) {
	var line []byte
	for {
		part, err := l.r.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > MaxCard:
			return "", client.Errorf(client.CodeTooLarge, "line %d is longer than %d bytes", l.number+1, MaxCard)
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil && (!errors.Is(err, io.EOF) || len(line) == 0):
			return "", err
		}
		l.number++
		return string(bytes.TrimRight(line, "\r\n")), nil
	}
}

// boundedReader fails, instead of ending, when more than left bytes come.
type boundedReader struct {
	r    io.Reader
	left int64
}

func (b *boundedReader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, client.Errorf(client.CodeTooLarge, "the file is larger than %d MiB", MaxFile>>20)
	}
	return n, err
}

// block is the physical lines of one card, between BEGIN and END.
type block struct {
	line    int // of BEGIN
	lines   []string
	version string // "2.1", "3.0", "4.0"
}

// nextBlock returns io.EOF when only blank lines are left.
func (l *lineReader) nextBlock() (*block, error) {
	first, err := l.nextFilled()
	if err != nil {
		return nil, err
	}
	if !isMark(first, "BEGIN") {
		return nil, client.Errorf(client.CodeBadRequest, "not a vCard: line %d is not BEGIN:VCARD", l.number)
	}
	b := &block{line: l.number, version: "3.0"}
	return b, b.fill(l)
}

func (l *lineReader) nextFilled() (string, error) {
	for {
		line, err := l.next()
		if err != nil || strings.TrimSpace(line) != "" {
			return line, err
		}
	}
}

// fill reads up to the END that belongs to the BEGIN. A card inside a card
// is only what a 2.1 AGENT announces; it is left out.
func (b *block) fill(l *lineReader) error {
	size, inside, agent := 0, 0, false
	for {
		line, err := l.next()
		if errors.Is(err, io.EOF) {
			return client.Errorf(client.CodeBadRequest, "half a vCard: the one that begins in line %d has no END:VCARD", b.line)
		} else if err != nil {
			return err
		}
		if size += len(line) + 1; size > MaxCard {
			return client.Errorf(client.CodeTooLarge, "the card in line %d is larger than %d bytes", b.line, MaxCard)
		}
		switch {
		case isMark(line, "BEGIN"):
			if inside == 0 && !agent {
				return client.Errorf(client.CodeBadRequest, "half a vCard: another begins in line %d before the one of line %d has ended", l.number, b.line)
			}
			inside++
		case isMark(line, "END") && inside == 0:
			return nil
		case isMark(line, "END"):
			inside--
		case inside == 0:
			b.add(line)
		}
		agent = isAgent(line)
	}
}

func (b *block) add(line string) {
	if name, value, ok := strings.Cut(line, ":"); ok && strings.EqualFold(name, "VERSION") {
		b.version = strings.TrimSpace(value)
	}
	b.lines = append(b.lines, line)
}

func isMark(line, mark string) bool {
	name, value, ok := strings.Cut(line, ":")
	return ok && strings.EqualFold(strings.TrimSpace(name), mark) && strings.EqualFold(strings.TrimSpace(value), "VCARD")
}

func isAgent(line string) bool {
	name, value, ok := strings.Cut(line, ":")
	return ok && strings.EqualFold(name, "AGENT") && strings.TrimSpace(value) == ""
}
