// Reads documents that package crdt wrote: one JSON object a line with the
// document or its changes in base64. Answers each with what it sees.
import * as A from "@automerge/automerge";
import { createInterface } from "node:readline";

const bytes = (s) => new Uint8Array(Buffer.from(s, "base64"));

function cell(v) {
  if (v instanceof Uint8Array) return { bytes: Buffer.from(v).toString("base64") };
  if (v instanceof A.Counter) return { counter: Number(v.value) };
  if (A.isImmutableString?.(v)) return { scalar: v.toString() };
  if (typeof v === "string") return { text: v };
  return { other: JSON.stringify(v) };
}

for await (const line of createInterface({ input: process.stdin })) {
  const { saved, changes } = JSON.parse(line);
  let doc = A.init();
  if (saved) doc = A.load(bytes(saved));
  if (changes) [doc] = A.applyChanges(doc, changes.map(bytes));
  const cells = {};
  for (const key of Object.keys(doc)) cells[key] = cell(doc[key]);
  console.log(JSON.stringify({ heads: A.getHeads(doc).sort(), cells }));
}
