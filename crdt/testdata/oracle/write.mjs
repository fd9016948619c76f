// Writes documents for package crdt to read: one JSON object a line says who
// writes what, in turns; each turn is one change on top of all before it.
// It drives the object that is behind a document, because the proxies take a
// key with a slash for a path.
import * as A from "@automerge/automerge";
import { createInterface } from "node:readline";

const base64 = (b) => Buffer.from(b).toString("base64");

function put(core, key, v) {
  const old = core.getWithType("_root", key);
  if (v.bytes !== undefined) core.put("_root", key, new Uint8Array(Buffer.from(v.bytes, "base64")), "bytes");
  else if (v.counter !== undefined && !old) core.put("_root", key, v.counter, "counter");
  else if (v.counter !== undefined) core.increment("_root", key, v.counter);
  else if (!old) core.putObject("_root", key, v.text);
  else core.splice(old[1], v.at, v.remove, v.text);
}

for await (const line of createInterface({ input: process.stdin })) {
  const { turns } = JSON.parse(line);
  let saved, heads;
  const changes = [];
  for (const { actor, cells } of turns) {
    const core = A.getBackend(saved ? A.load(saved, { actor }) : A.init({ actor }));
    for (const [key, v] of Object.entries(cells)) put(core, key, v);
    core.commit(undefined, 0);
    changes.push(base64(core.getLastLocalChange()));
    heads = core.getHeads().sort();
    saved = core.save();
  }
  console.log(JSON.stringify({ heads, saved: base64(saved), changes }));
}
