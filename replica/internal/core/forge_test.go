package core

import (
	"fmt"
	"slices"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/wire"
)

// forge sends an envelope that the other host of the stream could make with
// its keys, and that is not what it should be.
func (s *scenario) forge(e *end, args []string) error {
	if len(args) < 2 {
		return fmt.Errorf("forge what, of whom?")
	}
	victim, err := s.host(args[1])
	if err != nil {
		return err
	}
	if args[0] == "garbage" {
		return s.put(e, &wire.Envelope{Raw: make([]byte, 256)})
	}
	var deps []encryption.Dep
	if len(args) > 2 {
		deps = never()
	}
	raw, err := forged(e.peer.host, victim, e.host.disk.chains[victim.author.Writer], args[0], deps)
	if err != nil {
		return err
	}
	return s.put(e, &wire.Envelope{Raw: raw})
}

// forged makes an envelope of victim's writer as forger can. c is where the
// writer's chain is at the receiver.
func forged(forger, victim *host, c encryption.Chain, how string, deps []encryption.Dep) ([]byte, error) {
	content := &encryption.Content{
		Writer: victim.author.Writer, Seq: c.Seq + 1, Previous: c.Head, Members: c.Members,
		Deps: deps, Batch: batch(1, 1, 0),
	}
	signer := forger.id
	switch how {
	case "signature":
	case "epoch":
		signer = identity("z", "")
		content.Device = signer.Device()
		content.Nonce, content.Seq, content.Previous = [16]byte{1}, 1, encryption.Hash{}
		content.Writer = encryption.WriterFor(signer.Device(), content.Nonce)
	case "chain": // by the writer itself
		signer = victim.id
		content.Previous = encryption.Hash{0xba, 0xd0}
	case "gap":
		signer = victim.id
		content.Seq += 2
	default:
		return nil, fmt.Errorf("no way to forge by %q", how)
	}
	raw, _, err := signer.SealEnvelope(forger.random, content, c.Members)
	return raw, err
}

// never is what is never to come.
func never() []encryption.Dep {
	return []encryption.Dep{{Writer: encryption.WriterID{0xff}, Seq: 1, Head: encryption.Hash{1}}}
}

// flood sends envelopes of the sender's own that depend on what is never to
// come.
func (s *scenario) flood(e *end, args []string) error {
	count, err := number(args, 0, 1)
	if err != nil {
		return err
	}
	size, err := number(args, 1, 0)
	if err != nil {
		return err
	}
	h := e.peer.host
	c := h.disk.chains[h.author.Writer]
	for n := range count {
		content := &encryption.Content{
			Writer: h.author.Writer, Seq: c.Seq + uint64(n) + 2, Previous: encryption.Hash{1},
			Batch: slices.Repeat([]byte{1}, size),
		}
		raw, _, err := h.id.SealEnvelope(h.random, content, encryption.Hash{})
		if err != nil {
			return err
		}
		if err := s.put(e, &wire.Envelope{Raw: raw}); err != nil {
			return err
		}
	}
	return nil
}

// lied returns the ends that the liar can lie to.
func (w *world) lied() []*end {
	return slices.DeleteFunc(w.open(), func(e *end) bool { return e.peer.host != w.liar })
}

// lie puts a lie behind what is on its way to e.
func (w *world) lie(e *end, arg int) {
	w.lies++
	victim := w.hosts[arg/8%len(w.hosts)]
	c := e.host.disk.chains[victim.author.Writer]
	put := func(m wire.Message) {
		frame, err := wire.AppendFrame(nil, m)
		if err != nil {
			panic(err)
		}
		w.logf("%s lies to %s: %s", w.liar.name, e.host.name, w.message(m))
		e.in = append(e.in, frame)
	}
	switch arg % 8 {
	case 0:
		put(&wire.Ack{Entries: []wire.Acked{{Writer: victim.author.Writer, Seq: c.Seq + 1 + uint64(arg%3)}}})
	case 1: // in place of the true one
		if len(e.in) > 0 && isHello(e.in[0]) {
			w.lieInHello(e, wire.Entry{Writer: victim.author.Writer, Seq: max(c.Seq, 1) + uint64(arg/64%2), Head: [32]byte{1}})
		} else if i := slices.IndexFunc(e.in, func(f []byte) bool { return decoded(f).Type() == wire.TypeFrontier }); i >= 0 {
			e.in = slices.Delete(slices.Clone(e.in), i, i+1)
			put(&wire.Frontier{Entries: []wire.Entry{{Writer: victim.author.Writer, Seq: max(c.Seq, 1), Head: [32]byte{1}}}})
		}
	default: // mostly what cannot be refused at once, since a refusal ends the session
		var deps []encryption.Dep
		if arg%8 > 2 {
			deps = never()
		}
		if c.Seq > 0 && victim != w.liar {
			raw, err := forged(w.liar, victim, c, "signature", deps)
			if err != nil {
				panic(err)
			}
			put(&wire.Envelope{Raw: raw})
		}
	}
}

func isHello(frame []byte) bool {
	t := decoded(frame).Type()
	return t == wire.TypeHello || t == wire.TypeResume
}

// lieInHello has the next hello for e tell another frontier, from what e remembers.
func (w *world) lieInHello(e *end, lie wire.Entry) {
	s := e.host.x.sessions[e.id]
	m := &wire.Resume{Hello: wire.Hello{Instance: [8]byte{1}, Digest: [32]byte{1}}, Base: s.offered.Digest, Entries: []wire.Entry{lie}}
	if s.common != nil {
		m.Base = s.common.Digest
	}
	frame, err := wire.AppendFrame(nil, m)
	if err != nil {
		panic(err)
	}
	w.safety.seen["lie in a hello"]++
	w.logf("%s lies to %s: %s", w.liar.name, e.host.name, w.message(m))
	e.in = append([][]byte{frame}, e.in[1:]...)
}
