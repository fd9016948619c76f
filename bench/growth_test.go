package bench_test

import (
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"testing"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/p2p/p2ptest"
	"github.com/starling-sync/starling/replica"
)

var growthPlot = flag.String("growth", "",
	"BenchmarkGrowth takes all of its points, up to 10,000, and plots them to this PNG file")

// growthTouched is in how many documents the missing changes are, at most. It is
// the same however many documents there are.
const growthTouched = 10

// growthCase is two devices of an account that hold so many documents, with so many
// changes of them by so many writers. Then one of them makes some more, which the
// other lacks.
type growthCase struct{ missing, documents, history, writers int }

// growthUsual is what of a case is not varied.
var growthUsual = growthCase{missing: 100, documents: 100, history: 1000, writers: 2}

// growthLine varies one number of a case.
type growthLine struct {
	name   string
	values []int
	vary   func(c *growthCase, n int)
	points []growthPoint
}

type growthPoint struct {
	n int
	meeting
}

// note keeps a point, the cheapest of several: other work only adds to it.
func (l *growthLine) note(i int, p growthPoint) {
	if i == len(l.points) {
		l.points = append(l.points, p)
	} else if p.processors < l.points[i].processors {
		l.points[i] = p
	}
}

func growthLines() []*growthLine {
	upTo := []int{10, 100}
	writers := []int{2, 4}
	if *growthPlot != "" {
		upTo = []int{10, 30, 100, 300, 1000, 3000, 10_000}
		writers = []int{2, 4, 8, 16, 32}
	}
	return []*growthLine{
		{name: "missing changes", values: upTo, vary: func(c *growthCase, n int) { c.missing = n }},
		{name: "documents", values: upTo, vary: func(c *growthCase, n int) { c.documents = n }},
		{name: "history", values: upTo, vary: func(c *growthCase, n int) { c.history = n }},
		{name: "writers", values: writers, vary: func(c *growthCase, n int) { c.writers = n }},
	}
}

// BenchmarkGrowth is what it costs that a device catches up: bytes of ours, both
// ways, and seconds of the processors for both devices together, from the first
// stream on. One thing grows at a time: the changes that are missing, the documents
// that both hold, the changes that both hold, and the writers of those. Cost should
// grow with the first, in proportion, and with none of the others. It prints a
// table, and plots it where -growth says.
func BenchmarkGrowth(b *testing.B) {
	lines := growthLines()
	for b.Loop() {
		for _, line := range lines {
			for i, n := range line.values {
				c := growthUsual
				line.vary(&c, n)
				line.note(i, growthPoint{n, measureGrowth(b, c)})
			}
		}
	}
	fmt.Printf("%-16s %8s %12s %10s %10s\n", "catch-up by", "n", "bytes", "cpu ms", "ms")
	for _, line := range lines {
		for _, p := range line.points {
			fmt.Printf("%-16s %8d %12d %10.1f %10.1f\n", line.name, p.n, p.bytes, millis(p.processors), millis(p.took))
		}
		first, last := line.points[0], line.points[len(line.points)-1]
		b.ReportMetric(float64(last.bytes)/float64(first.bytes), "bytes-over-"+unit(line.name))
		b.ReportMetric(float64(last.processors)/float64(first.processors), "cpu-over-"+unit(line.name))
	}
	if *growthPlot != "" {
		if err := plotGrowth(lines, *growthPlot); err != nil {
			b.Fatal(err)
		}
	}
}

// unit makes a name fit for a metric.
func unit(name string) string {
	var word string
	fmt.Sscan(name, &word)
	return word
}

// measureGrowth makes a case and lets the two devices meet.
func measureGrowth(b *testing.B, c growthCase) meeting {
	ids := p2ptest.Account(b, c.writers)
	dirs := make([]string, c.writers)
	for i := range dirs {
		dirs[i] = b.TempDir()
	}
	turn := &growthTurns{documents: c.documents}
	for i := c.writers - 1; i > 0; i-- { // the one that will lack something is the last
		meetAny(b, []string{dirs[0], dirs[i]}, []*encryption.Identity{ids[0], ids[i]}, func(a, o *replica.Replica) {
			if i == c.writers-1 {
				turn.apply(b, a, c.documents)
			}
			turn.apply(b, o, c.history/c.writers)
			turn.apply(b, a, c.history/c.writers/(c.writers-1))
		})
	}
	pair := []string{dirs[0], dirs[1]}
	alone, err := replica.Open(dirs[0], &replica.Config{Identity: ids[0], Clock: person.now})
	if err != nil {
		b.Fatal(err)
	}
	turn.documents = min(c.documents, growthTouched)
	turn.apply(b, alone, c.missing)
	if err := alone.Close(); err != nil {
		b.Fatal(err)
	}
	return meetAny(b, pair, ids[:2], nothing)
}

// growthTurns reads one chat after the other, a little further each time.
type growthTurns struct{ documents, n int }

func (t *growthTurns) apply(b *testing.B, r *replica.Replica, n int) {
	b.Helper()
	var edits []model.Edit
	for range n {
		at := &model.Position{Time: model.Time(1767225600000 + 60_000*t.n), ID: fmt.Sprint("m", t.n)}
		edits = append(edits, model.Edit{Op: model.ChatRead, ID: fmt.Sprintf("signal:+49%08d", t.n%t.documents), At: at})
		t.n++
	}
	for part := range slices.Chunk(edits, editsAtOnce) {
		if err := r.Apply(b.Context(), part); err != nil {
			b.Fatal(err)
		}
	}
}

// plotGrowth draws bytes and processor time beside each other, on logarithmic axes.
func plotGrowth(lines []*growthLine, path string) (err error) {
	bytes, err := growthPanel(lines, "bytes", func(p growthPoint) float64 { return float64(p.bytes) })
	if err != nil {
		return err
	}
	spent, err := growthPanel(lines, "ms of the processors", func(p growthPoint) float64 { return millis(p.processors) })
	if err != nil {
		return err
	}
	img := vgimg.New(12*vg.Inch, 5*vg.Inch)
	tiles := draw.Tiles{Rows: 1, Cols: 2, PadX: vg.Millimeter * 8, PadTop: vg.Millimeter * 4, PadRight: vg.Millimeter * 4}
	panels := [][]*plot.Plot{{bytes, spent}}
	for i, canvas := range plot.Align(panels, tiles, draw.New(img))[0] {
		panels[0][i].Draw(canvas)
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
	}()
	_, err = vgimg.PngCanvas{Canvas: img}.WriteTo(f)
	return err
}

func growthPanel(lines []*growthLine, label string, of func(growthPoint) float64) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text = "Catching up: " + label
	p.X.Label.Text, p.Y.Label.Text = "n", label
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.X.Tick.Marker, p.Y.Tick.Marker = plot.LogTicks{Prec: -1}, plot.LogTicks{Prec: -1}
	p.Legend.Top, p.Legend.Left = true, true
	var named []any
	for _, line := range lines {
		var points plotter.XYs
		for _, point := range line.points {
			points = append(points, plotter.XY{X: float64(point.n), Y: of(point)})
		}
		named = append(named, line.name, points)
	}
	p.Add(plotter.NewGrid())
	if err := plotutil.AddLinePoints(p, named...); err != nil {
		return nil, err
	}
	for _, axis := range []*plot.Axis{&p.X, &p.Y} { // whole decades, so that their ends are labelled
		axis.Min = math.Pow(10, math.Floor(math.Log10(axis.Min)))
		axis.Max = math.Pow(10, math.Ceil(math.Log10(axis.Max)))
	}
	return p, nil
}
