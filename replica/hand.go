package replica

import (
	"context"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/core"
	"github.com/starling-sync/starling/replica/internal/hand"
	"github.com/starling-sync/starling/replica/internal/wire"
)

// A replica is driven by hand where one goroutine decides when what happens: in
// the simulator. The loop is the same, but nobody runs it, nobody commits a group
// beside it, and links are read and written by whoever drives.

var _ = hand.Register(openByHand)

// driven is a replica that is driven by hand, as package hand says.
type driven struct {
	*Replica
	loop    *loop
	asked   []asked
	written bool  // the group in flight was given to the store
	err     error // what that came to
}

// asked is an intent whose outcome was not told yet.
type asked struct {
	in   *intent
	tell func(error)
}

func openByHand(c *hand.Config) (hand.Replica, error) {
	config, err := (&Config{
		Identity: c.Identity, Store: c.Store, Place: c.Place, Generation: c.Generation,
		Log: c.Log, Clock: c.Clock, Random: c.Random,
	}).withDefaults("")
	if err != nil {
		return nil, err
	}
	r := newReplica(config)
	d := &driven{Replica: r}
	r.byHand = d
	if d.loop, err = r.load(); err != nil {
		return nil, err
	}
	if m := c.Limits; m != nil {
		d.loop.limits = logLimits{keep: m.Keep, most: m.Most, tail: m.Tail, every: m.Every, atOnce: m.Most, part: m.Part}
		d.loop.core.OfferFrom(m.OfferFrom)
		d.loop.docs.tailFrom = m.Tails
	}
	d.loop.launch()
	return d, nil
}

// call runs fn as the loop would.
func (d *driven) call(fn func(*loop)) {
	fn(d.loop)
	d.loop.launch()
	d.tell()
}

// tell tells the outcome of intents that have one.
func (d *driven) tell() {
	waiting := d.asked
	d.asked = nil
	for _, a := range waiting {
		select {
		case err := <-a.in.done:
			a.tell(err)
		default:
			d.asked = append(d.asked, a)
		}
	}
}

func (d *driven) Apply(edits []model.Edit, outcome func(error)) error {
	in, err := newIntent(edits)
	if err != nil {
		return err
	}
	d.asked = append(d.asked, asked{in, outcome})
	d.call(func(l *loop) { l.queue = append(l.queue, in) })
	return nil
}

func (d *driven) Tick() { d.call(func(l *loop) { l.perform(l.core.Step(core.Tick{})) }) }

func (d *driven) Flying() bool { return d.loop.flying != nil }

func (d *driven) Write() {
	d.err = d.config.Store.Commit(&d.loop.flying.batch)
	d.written = true
}

func (d *driven) Finish() { d.call(func(l *loop) { l.finish(d.outcome()) }) }

// outcome returns what became of the group in flight, which is written now if
// it was not before: the loop waits for it.
func (d *driven) outcome() error {
	if !d.written {
		d.Write()
	}
	d.written = false
	return d.err
}

// Nothing here waits, so that nothing needs an end.
var endless = context.Background() //lint:allow context.Background nobody waits for what is driven by hand

func (d *driven) AdmitMembers(ops [][]byte) error { return d.Replica.AdmitMembers(endless, ops) }

func (d *driven) AddDevice(req *encryption.JoinRequest) ([]byte, error) {
	return d.Replica.AddDevice(endless, req)
}

func (d *driven) RemoveDevice(device encryption.DeviceID) (model.Removal, error) {
	return d.Replica.RemoveDevice(endless, device)
}

func (d *driven) Rotate() error                         { return d.Replica.Rotate(endless) }
func (d *driven) State() (model.State, error)           { return d.Replica.State(endless) }
func (d *driven) GetChat(id string) (model.Chat, error) { return d.Replica.GetChat(endless, id) }

func (d *driven) Exchange() *core.Exchange { return d.loop.core }
func (d *driven) Fingerprint() [32]byte    { return d.loop.print }
func (d *driven) Backlog() bool            { return d.loop.backlog() }
func (d *driven) Author() core.Author      { return d.loop.author }

func (d *driven) Compare(nonce [8]byte) (results func() []model.PeerVerification) {
	var c *comparison
	d.call(func(l *loop) { c = l.compareAll(nonce) })
	return func() []model.PeerVerification { return c.results }
}

func (d *driven) Check() ([]string, error) {
	v := newVerification(&model.Verification{}, endless.Err)
	var err error
	d.call(func(l *loop) { err = l.verify(v) })
	return v.Problems, err
}

// Close ends the loop as the goroutine of it would, and then the store.
func (d *driven) Close() error {
	d.loop.shutDown()
	d.tell()
	d.endGeneration()
	return d.closeStore()
}

func (d *driven) Attach(device encryption.DeviceID) hand.Link {
	link := newLink(0, nil, encryption.Peer{Device: device})
	d.call(func(l *loop) { l.attach(link) })
	return &drivenLink{d, link}
}

// drivenLink is a link without goroutines.
type drivenLink struct {
	d    *driven
	link *link
}

func (l *drivenLink) Take() []byte {
	l.link.mu.Lock()
	defer l.link.mu.Unlock()
	out := l.link.outbox
	l.link.outbox = nil
	return out
}

func (l *drivenLink) Receive(m wire.Message) {
	l.d.call(func(loop *loop) { loop.receive(linkEvent{link: l.link, msg: m}) })
}

func (l *drivenLink) Lose(err error) {
	l.d.call(func(loop *loop) { loop.receive(linkEvent{link: l.link, err: err}) })
}

func (l *drivenLink) Ended() bool {
	l.link.mu.Lock()
	defer l.link.mu.Unlock()
	return l.link.closed || l.link.ending
}

// write commits the group in flight: beside the loop, or when the hand says so.
func (l *loop) write(g *group) {
	if l.r.byHand == nil {
		go func() { l.r.written <- l.config.Store.Commit(&g.batch) }()
	}
}

// outcome waits for what became of the group in flight.
func (l *loop) outcome() error {
	if l.r.byHand != nil {
		return l.r.byHand.outcome()
	}
	return <-l.r.written
}

// serve begins to read and write a link.
func (l *loop) serve(link *link) {
	if l.r.byHand != nil {
		return
	}
	l.r.links.Go(link.write)
	l.r.links.Go(func() {
		err := link.read(func(m wire.Message) error { return l.r.deliver(linkEvent{link: link, msg: m}) })
		l.r.deliver(linkEvent{link: link, err: err})
	})
}
