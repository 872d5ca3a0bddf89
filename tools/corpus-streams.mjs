// Compares reassembled TCP streams with those of tshark, flow by flow, over the corpus beside the repository.
//
// node tools/corpus-streams.mjs [--corpus DIR] [--capture NAME] [--verbose]
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { formatEndpoint } from "../dist/base/index.js";
import { StreamTable } from "../dist/stream/index.js";
import { CaptureReader, decodeRecord, FRAGMENT, Packet } from "../dist/wire/index.js";
import { say } from "./classifier/say.mjs";

const { values: options } = parseArgs({
  options: { corpus: { type: "string" }, capture: { type: "string" }, verbose: { type: "boolean" } },
});
const here = dirname(fileURLToPath(import.meta.url));
const corpus =
  options.corpus ??
  [join(here, "../../shared/captures/ndpi"), join(here, "../../../shared/captures/ndpi")].find(existsSync) ??
  "";
const hasTshark = (() => {
  try {
    execFileSync("tshark", ["-v"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
})();
if (!existsSync(corpus) || !hasTshark) {
  say("corpus-streams: needs the captures at ../shared/captures/ndpi and tshark; skipped");
  process.exit(0);
}

const TCP = 6;
/** Streams asked of one run of tshark. */
const BATCH = 200;

/** What is missing, as tshark writes it into the stream, the end of its C string included. */
const missing = (bytes) => Buffer.from(`[${bytes} bytes missing in capture file]\0`);

class Collector {
  parts = [[], []];
  receive(direction, bytes, at, end) {
    this.parts[direction].push(
      Buffer.from(bytes.buffer.slice(bytes.byteOffset + at, bytes.byteOffset + end)),
    );
    return end - at;
  }
  datagram() {}
  gap(direction, bytes) {
    this.parts[direction].push(missing(bytes));
  }
  finish() {}
}

/** Our streams: ends joined with a blank, sender first, to bytes. */
function ours(capture) {
  const streams = new Map();
  const collectors = [];
  const table = new StreamTable({
    open: (packet, flow) => {
      const collector = new Collector();
      collectors.push([flow, collector]);
      return collector;
    },
  });
  const reader = new CaptureReader();
  const packet = new Packet();
  reader.push(readFileSync(join(corpus, capture)));
  for (let record = reader.next(); record !== undefined; record = reader.next()) {
    if (!decodeRecord(packet, record) || packet.protocol !== TCP || packet.fault !== undefined) continue;
    if (packet.fragment !== FRAGMENT.LATER) table.push(packet, 0);
  }
  table.clear();
  for (const [flow, { parts }] of collectors) {
    const ends = [
      formatEndpoint(flow.family, flow.source, flow.sourcePort),
      formatEndpoint(flow.family, flow.destination, flow.destinationPort),
    ];
    add(streams, ends[0], ends[1], Buffer.concat(parts[0]));
    add(streams, ends[1], ends[0], Buffer.concat(parts[1]));
  }
  return streams;
}

function add(streams, from, to, bytes) {
  const key = `${from} ${to}`;
  streams.set(key, Buffer.concat([streams.get(key) ?? Buffer.alloc(0), bytes]));
}

/**
 * Adds one stream as `-z follow` prints it: a line of hexadecimal digits a segment, the answers behind a tab.
 */
function addBlock(streams, block) {
  const node0 = /Node 0: (.*)/.exec(block)?.[1] ?? "";
  const node1 = /Node 1: (.*)/.exec(block)?.[1] ?? "";
  const parts = [[], []];
  for (const line of block.split("\n").slice(4)) {
    if (!/^\t?[0-9a-f]+$/.test(line)) continue;
    parts[line.startsWith("\t") ? 1 : 0].push(Buffer.from(line.trim(), "hex"));
  }
  add(streams, node0, node1, Buffer.concat(parts[0]));
  add(streams, node1, node0, Buffer.concat(parts[1]));
}

/** tshark's streams in the same form. */
function theirs(capture) {
  const streams = new Map();
  const file = join(corpus, capture);
  const run = (args) => {
    // A capture that is cut short makes tshark fail behind its output.
    const { stdout } = spawnSync("tshark", args, { maxBuffer: 1 << 30, stdio: ["ignore", "pipe", "ignore"] });
    return stdout.toString();
  };
  const indexes = run(["-r", file, "-Y", "tcp", "-T", "fields", "-e", "tcp.stream"]).split(/[\s,]+/);
  const last = Math.max(-1, ...indexes.filter((text) => text !== "").map(Number));
  for (let from = 0; from <= last; from += BATCH) {
    const args = ["-r", file, "-q"];
    for (let index = from; index <= Math.min(last, from + BATCH - 1); index += 1)
      args.push("-z", `follow,tcp,raw,${index}`);
    for (const block of run(args).split("Follow: tcp,raw").slice(1)) addBlock(streams, block);
  }
  return streams;
}

const sums = { equal: 0, different: 0, unmet: 0 };

/** An IPv6 end as we write it. */
const bracketed = (end) =>
  end.split(":").length > 2
    ? `[${end.slice(0, end.lastIndexOf(":"))}]${end.slice(end.lastIndexOf(":"))}`
    : end;

function sayDifference(where, found, expected) {
  let at = 0;
  while (at < found.length && found[at] === expected[at]) at += 1;
  say(`${where}: differs at ${at} of ${expected.length} (ours ${found.length})`);
  if (!options.verbose) return;
  say(`  theirs ${expected.subarray(at, at + 60).toString("latin1")}`);
  say(`  ours   ${found.subarray(at, at + 60).toString("latin1")}`);
}

function compare(where, found, expected) {
  if (found === undefined) {
    if (expected.length === 0) return;
    sums.unmet += 1;
    if (options.verbose) say(`${where}: not met, ${expected.length} bytes`);
  } else if (found.equals(expected)) sums.equal += 1;
  else {
    sums.different += 1;
    sayDifference(where, found, expected);
  }
}

for (const capture of readdirSync(corpus).sort()) {
  if (!/\.p?cap(ng)?$/.test(capture) || (options.capture !== undefined && options.capture !== capture))
    continue;
  const mine = ours(capture);
  for (const [key, expected] of theirs(capture)) {
    const [from, to] = key.split(" ");
    const found = mine.get(key) ?? mine.get(`${bracketed(from)} ${bracketed(to)}`);
    compare(`${capture} ${key}`, found, expected);
  }
}
const { equal, different, unmet } = sums;
say(`${equal} directions of TCP streams equal tshark's, ${different} differ, ${unmet} not met`);
