// Feeds recognition with damaged, spliced and misdirected exchanges of every protocol, cut anywhere. An
// exception, bytes let go that were never there, or an input that takes long is a finding.
//
// node tools/fuzz-recognise.mjs [--runs 1000000] [--seed 1]
import { parseArgs } from "node:util";
import { FlowRecognition, RecogniserSet } from "../dist/recognise/index.js";
// oxlint-disable-next-line no-restricted-imports -- a fuzzer is a test, and starts from the tests' samples
import { protocolSamples as SAMPLES } from "../dist/testing/samples/index.js";
import { say } from "./classifier/say.mjs";

const { values: options } = parseArgs({
  options: { runs: { type: "string", default: "1000000" }, seed: { type: "string", default: "1" } },
});

/** Milliseconds that one input may take. */
const SLOW_MS = 200;
const PORTS = [53, 5353, 5355, 137, 123, 4500];
const set = new RecogniserSet({ guessByPort: true });

let state = Number(options.seed) >>> 0;
/** A whole number below `bound`. */
function below(bound) {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return Math.floor((state / 2 ** 32) * bound);
}
const oneIn = (chances) => below(chances) === 0;
const oneOf = (list) => list[below(list.length)];

function splice(bytes) {
  const other = oneOf(oneOf(SAMPLES).turns)[1];
  const at = below(bytes.length + 1);
  return Uint8Array.from([...bytes.slice(0, at), ...other.slice(below(other.length))]);
}

function damage(original) {
  let bytes = original.slice(0, oneIn(3) ? 1 + below(original.length) : original.length);
  if (oneIn(3)) bytes = splice(bytes);
  for (let count = below(6); count > 0; count -= 1) {
    bytes[below(bytes.length)] = oneOf([0, 255, below(256), 1 << below(8)]);
  }
  return bytes;
}

function feedStream(flow, held, direction, bytes) {
  for (let at = 0; at < bytes.length; ) {
    const more = bytes.subarray(at, at + 1 + below(oneIn(2) ? 20 : 2000));
    at += more.length;
    const joined = new Uint8Array(held[direction].length + more.length);
    joined.set(held[direction]);
    joined.set(more, held[direction].length);
    const released = flow.receive(direction, new DataView(joined.buffer), 0, joined.length);
    if (released > joined.length) throw new Error("bytes were let go that were never there");
    held[direction] = released < 0 ? new Uint8Array(0) : joined.slice(released);
  }
}

function run() {
  const sample = oneOf(SAMPLES);
  const other = sample.transport === "TCP" ? "UDP" : "TCP";
  const port = oneIn(4) ? oneOf(PORTS) : (sample.port ?? below(65_536));
  const transport = oneIn(8) ? other : sample.transport;
  const flow = new FlowRecognition(set, transport, below(65_536), port);
  const held = [new Uint8Array(0), new Uint8Array(0)];
  if (oneIn(4)) flow.begin(0, true);
  for (const [from, original] of sample.turns) {
    const bytes = damage(original);
    const direction = oneIn(10) ? 1 - from : from;
    if (transport === "TCP") feedStream(flow, held, direction, bytes);
    else {
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      const datagramBytes = bytes.length + below(2) * below(100);
      flow.datagram(direction, { bytes: view, payloadAt: 0, end: bytes.length, datagramBytes });
    }
    if (oneIn(20)) flow.gap(direction);
  }
  flow.finish();
  return flow.result;
}

const runs = Number(options.runs);
let slow = 0;
let recognised = 0;
for (let index = 0; index < runs; index += 1) {
  const seed = state;
  const started = performance.now();
  try {
    if (run() !== undefined) recognised += 1;
  } catch (error) {
    say(`input ${index}, --seed ${seed} --runs 1:`);
    throw error;
  }
  if (performance.now() - started > SLOW_MS) slow += 1;
}
say(`${runs} inputs, ${recognised} recognised, ${slow} took more than ${SLOW_MS} ms, no exception`);
