// The work of BenchmarkApart on automerge-repo: two peers, a process each, hold
// 1,000 chats in sync, part, each mutes or unmutes every chat five times, one
// change after another, and meet again. Printed are the seconds from the
// connection until both have everything, durable as this library has it, and the
// bytes of its messages over the websocket, both ways, for each of the changes.
//
// It is used as its documentation advises: a Repo with the file system's storage
// adapter and the websocket adapters, a document for each chat, one call of
// change for each edit. What was free to choose was chosen in its favour:
//
//   - Both repos stay open while they are apart, with all documents in memory and
//     what each knows of the other. Repos that are opened again have read most of
//     that from nowhere: the state of a sync is stored for one document in a while.
//   - The change is one boolean, the smallest that there is.
//   - Done is when both have all changes and flush has returned. The storage
//     adapter calls no fsync, and nothing is encrypted.
//   - The bytes are those of the messages until then, without the frames of the
//     websocket, TCP, and what is still said afterwards.
//   - The websocket does not compress, as in every example of the library. The
//     delays by which it collects changes (100 ms each for sending and for saving)
//     are as they come.
//   - The connection is looked after once in ten minutes: after five seconds, which
//     is the default, the one that waits ends it while the other computes.
import { fork } from "node:child_process"
import fs from "node:fs"
import os from "node:os"
import path from "node:path"
import process from "node:process"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import * as Automerge from "@automerge/automerge"
import { Repo } from "@automerge/automerge-repo"
import { WebSocketClientAdapter, WebSocketServerAdapter } from "@automerge/automerge-repo-network-websocket"
import { NodeFSStorageAdapter } from "@automerge/automerge-repo-storage-nodefs"
import { WebSocketServer } from "ws"

const keepAlive = 600_000 // ms; see above
const self = fileURLToPath(import.meta.url)
const packages = [
  "@automerge/automerge",
  "@automerge/automerge-repo",
  "@automerge/automerge-repo-network-websocket",
  "@automerge/automerge-repo-storage-nodefs",
  "ws",
]

if (process.env.STARLING_PEER) peer(process.env.STARLING_PEER)
else await main()

// peer does what the parent asks for, one thing after another. "a" is the one
// that is connected to, "b" the one that connects.
function peer(name) {
  const repo = new Repo({ peerId: name, storage: new NodeFSStorageAdapter(process.env.STARLING_DIR) })
  let received = 0
  let adapter, server
  let handles = []
  const meter = (Adapter) =>
    class extends Adapter {
      receiveMessage(bytes, socket) {
        received += bytes.byteLength
        super.receiveMessage(bytes, socket)
      }
    }
  const does = {
    create: ({ documents }) => {
      for (let i = 0; i < documents; i++) handles.push(repo.create({ id: chat(i), muted: true }))
      return handles.map((h) => h.url)
    },
    // find waits for the documents that the other peer announces.
    find: async ({ urls }) => {
      const announced = () => Object.values(repo.handles).filter((h) => h.isReady()).length
      await until(() => announced() === urls.length)
      handles = await Promise.all(urls.map((url) => repo.find(url)))
    },
    listen: () =>
      new Promise((resolve) => {
        server = new WebSocketServer({ host: "127.0.0.1", port: 0 }, () => resolve(server.address().port))
        adapter = new (meter(WebSocketServerAdapter))(server, keepAlive)
        repo.networkSubsystem.addNetworkAdapter(adapter)
      }),
    connect: ({ port }) => {
      adapter = new (meter(WebSocketClientAdapter))(`ws://127.0.0.1:${port}`)
      repo.networkSubsystem.addNetworkAdapter(adapter)
    },
    part: () => repo.networkSubsystem.removeNetworkAdapter(adapter),
    peers: ({ number }) => until(() => repo.peers.length === number),
    toggle: ({ rounds }) => {
      for (let round = 0; round < rounds; round++) {
        for (const h of handles) h.change((d) => (d.muted = round % 2 === 1))
      }
      return repo.flush()
    },
    // have waits until every document has so many changes and is stored. Only
    // documents that were not complete are looked at again.
    have: async ({ changes }) => {
      let lacking = handles
      await until(() => {
        lacking = lacking.filter((h) => Automerge.stats(h.doc()).numChanges !== changes)
        return lacking.length === 0
      })
      await repo.flush()
      return Date.now()
    },
    // quiet waits until nothing was received for a second. A connection that ends
    // while they still talk makes the library log errors.
    quiet: async () => {
      for (let before = -1; before !== received; ) {
        before = received
        await new Promise((resolve) => setTimeout(resolve, 1000))
      }
    },
    // since says when the two were connected, if that is what is waited for.
    since: () =>
      new Promise((resolve) => {
        received = 0
        repo.networkSubsystem.once("peer", () => resolve(Date.now()))
      }),
    figures: () => ({
      received,
      heads: handles.map((h) => h.heads().slice().sort().join()),
    }),
    quit: async () => {
      await repo.shutdown()
      setImmediate(() => process.exit(0))
    },
  }
  process.on("message", async ({ n, what, args }) => {
    try {
      process.send({ n, value: (await does[what](args)) ?? null })
    } catch (err) {
      process.send({ n, error: err.stack })
    }
  })
}

const chat = (i) => `signal:+49${String(i).padStart(8, "0")}`

// until looks for a condition often, which costs little beside what it waits for.
async function until(condition) {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5))
}

// start returns a peer in a process of its own.
function start(name, dir) {
  const child = fork(self, { env: { ...process.env, STARLING_PEER: name, STARLING_DIR: path.join(dir, name) } })
  const waiting = new Map()
  let n = 0
  child.on("message", (m) => {
    const { resolve, reject } = waiting.get(m.n)
    waiting.delete(m.n)
    if (m.error) reject(new Error(`${name}: ${m.error}`))
    else resolve(m.value)
  })
  child.on("exit", (code) => {
    for (const { what, reject } of waiting.values()) if (what !== "quit") reject(new Error(`${name} ended with ${code} during ${what}`))
  })
  return {
    ask: (what, args = {}) =>
      new Promise((resolve, reject) => {
        waiting.set(++n, { what, resolve, reject })
        child.send({ n, what, args })
      }),
    kill: () => child.kill(),
  }
}

async function measure(a, b, documents, rounds) {
  const port = await a.ask("listen")
  await b.ask("connect", { port })
  await Promise.all([a.ask("peers", { number: 1 }), b.ask("peers", { number: 1 })])
  await b.ask("find", { urls: await a.ask("create", { documents }) })
  await together(a, b, 1)
  await Promise.all([a.ask("quiet"), b.ask("quiet")])
  await b.ask("part")
  await a.ask("peers", { number: 0 })
  await Promise.all([a.ask("toggle", { rounds }), b.ask("toggle", { rounds })])
  const connected = a.ask("since")
  const other = b.ask("since")
  await b.ask("connect", { port })
  const began = Math.min(await connected, await other)
  const ended = await together(a, b, 1 + 2 * rounds)
  const [fa, fb] = await Promise.all([a.ask("figures"), b.ask("figures")])
  if (fa.heads.length !== documents || fa.heads.join("\n") !== fb.heads.join("\n")) throw new Error("the peers differ")
  return { seconds: (ended - began) / 1000, bytes: fa.received + fb.received }
}

async function together(a, b, changes) {
  return Math.max(...(await Promise.all([a.ask("have", { changes }), b.ask("have", { changes })])))
}

async function main() {
  const { values } = parseArgs({
    options: {
      json: { type: "boolean", default: false },
      documents: { type: "string", default: "1000" },
      rounds: { type: "string", default: "5" },
    },
  })
  const documents = Number(values.documents)
  const rounds = Number(values.rounds)
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "starling-peers-"))
  const a = start("a", dir)
  const b = start("b", dir)
  try {
    const { seconds, bytes } = await measure(a, b, documents, rounds)
    await Promise.all([a.ask("quiet"), b.ask("quiet")])
    await Promise.all([b.ask("quit"), a.ask("quit")])
    report(values.json, { documents, changes: 2 * rounds * documents, seconds, bytes, ...machine() })
  } finally {
    a.kill()
    b.kill()
    fs.rmSync(dir, { recursive: true, force: true })
  }
}

function machine() {
  const versions = Object.fromEntries(packages.map((name) => [name, installed(name)]))
  return { node: process.version, cores: os.cpus().length, cpu: os.cpus()[0]?.model ?? "", os: `${os.type()} ${os.release()} ${os.arch()}`, versions }
}

function installed(name) {
  return JSON.parse(fs.readFileSync(path.join(path.dirname(self), "node_modules", name, "package.json"))).version
}

function report(json, f) {
  const perChange = f.bytes / f.changes
  if (json) {
    console.log(JSON.stringify({ ...f, bytesPerChange: perChange }))
    return
  }
  console.log(`node ${f.node}, ${f.cores} cores of ${f.cpu}, ${f.os}`)
  for (const [name, version] of Object.entries(f.versions)) console.log(`${name} ${version}`)
  console.log(`${f.documents} documents, ${f.changes} changes while apart`)
  console.log(`${f.seconds.toFixed(2)} s from the connection until both have everything`)
  console.log(`${perChange.toFixed(1)} B per change, both ways`)
}
