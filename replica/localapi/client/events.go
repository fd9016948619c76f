package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strconv"

	"github.com/starling-sync/starling/crdt/model"
)

// maxEvent bounds the data of one event, and each line of it, in bytes.
const maxEvent = 1 << 20

// problemEvent is the name of the server-sent event that carries a Problem
// and ends a stream.
const problemEvent = "problem"

// Events implements API. It asks the daemon within the call and holds one
// connection. When that breaks, the sequence ends with an Error with
// CodeUnreachable; a caller that wants to go on asks again with the id of the
// last event that it saw.
func (c *Client) Events(ctx context.Context, after uint64) iter.Seq2[model.Event, error] {
	path := "/v1/events"
	if after > 0 {
		path += "?after=" + strconv.FormatUint(after, 10)
	}
	response, err := c.send(ctx, http.MethodGet, path, nil, http.Header{"Accept": {"text/event-stream"}})
	return func(yield func(model.Event, error) bool) {
		if err == nil {
			defer response.Body.Close()
			err = yieldEvents(response.Body, yield)
		}
		if err == nil || ctx.Err() != nil {
			return
		}
		if CodeOf(err) == CodeInternal && errors.Is(err, errStream) {
			err = Errorf(CodeUnreachable, "events: the daemon at %s went away: %w", c.socket, err)
		}
		yield(model.Event{}, err)
	}
}

// errEvent refuses an event by its size.
var errEvent = Errorf(CodeTooLarge, "events: one has more than %d bytes", maxEvent)

// errStream marks an event stream that ended or broke.
var errStream = errors.New("the event stream ended")

// yieldEvents passes on events until the receiver stops, with nil, or the
// stream ends, with why.
func yieldEvents(r io.Reader, yield func(model.Event, error) bool) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxEvent)
	var name string
	var data []byte
	for lines.Scan() {
		line := lines.Bytes()
		if len(line) > 0 {
			if name, data = readField(line, name, data); len(data) > maxEvent {
				return errEvent
			}
			continue
		}
		if len(data) > 0 {
			event, err := decodeEvent(name, data)
			if err != nil {
				return err
			}
			if !yield(event, nil) {
				return nil
			}
		}
		name, data = "", data[:0]
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return errEvent
	}
	return errors.Join(errStream, lines.Err())
}

// readField takes one line of the stream into the event that it is part of.
// The id is also in the data, so the field of that name is for EventSource.
func readField(line []byte, name string, data []byte) (string, []byte) {
	field, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(field) {
	case "event":
		name = string(value)
	case "data":
		data = append(append(data, value...), '\n')
	}
	return name, data
}

func decodeEvent(name string, data []byte) (model.Event, error) {
	if name == problemEvent {
		var p Problem
		if err := json.Unmarshal(data, &p); err != nil {
			return model.Event{}, fmt.Errorf("events: problem: %w", err)
		}
		return model.Event{}, p.Err()
	}
	var event model.Event
	if err := json.Unmarshal(data, &event); err != nil {
		return event, fmt.Errorf("events: %w", err)
	}
	return event, nil
}
