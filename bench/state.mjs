/**
 * Speed and memory of the state table at 1 thousand, 100 thousand and 1 million flows.
 *
 * Rates count processor time, so that they hold on a busy machine too; flows are looked up in a random order,
 * the hardest for the caches. "moved" is the most index entries that one packet had to move: the work that
 * growth adds. "pause" is the longest insertion: the same flows are inserted five times over, each insertion
 * counts by the quickest of its five, and so what remains is the table's own work and not what the machine or
 * the runtime did meanwhile.
 *
 * "list" and "kill" are a worker's answers, slice by slice, with the copy that a message to another thread
 * takes; "longest slice" is the most that packets wait for one, in processor time, in the best of three runs.
 *
 * Usage: npm run build && node bench/state.mjs
 */
import { cpus } from "node:os";
import { MessageChannel, receiveMessageOnPort } from "node:worker_threads";
import { FlowDesk } from "../dist/daemon/flow-desk.js";
import { HOOK, PROTOCOL, TCP_FLAG } from "../dist/base/index.js";
import { Tracker } from "../dist/state/index.js";
import { Packet } from "../dist/wire/index.js";

const SIZES = [1000, 100_000, 1_000_000];
const CALLS = 2_000_000;
const ROUNDS = 3;
const PAUSE_ROUNDS = 5;
const SLICE_ROUNDS = 3;
const SEED = [0x12345678, 0x9abcdef0];

/** Points a record at the flow with a number. */
function aim(packet, number, flags) {
  packet.source[3] = 0x0a000000 + (number >>> 4);
  packet.sourcePort = 1024 + (number & 15);
  packet.tcpFlags = flags;
}

function makePacket() {
  const packet = new Packet();
  packet.family = 4;
  packet.hook = HOOK.INPUT;
  packet.protocol = PROTOCOL.TCP;
  packet.source.set([0, 0, 0xffff, 0]);
  packet.destination.set([0, 0, 0xffff, 0xc0000201]);
  packet.destinationPort = 443;
  packet.wireBytes = 60;
  packet.window = 65_535;
  packet.timeToLive = 64;
  return packet;
}

/** Processor time that this process has used, in milliseconds. */
function spent() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Calls per second, of a function that makes so many. */
function rate(calls, run) {
  const before = spent();
  run();
  return calls / ((spent() - before) / 1000);
}

function fill(tracker, packet, count) {
  for (let number = 0; number < count; number += 1) {
    aim(packet, number, TCP_FLAG.SYN);
    tracker.lookup(packet, 0);
    tracker.commit(packet, 0);
  }
}

/** Longest of the insertions that fill a table, each the quickest of several, in milliseconds. */
function timeInsertions(count) {
  const least = new Float64Array(count).fill(Number.POSITIVE_INFINITY);
  for (let round = 0; round < PAUSE_ROUNDS; round += 1) {
    const tracker = new Tracker({ capacity: count, seed: SEED });
    const packet = makePacket();
    for (let number = 0; number < count; number += 1) {
      aim(packet, number, TCP_FLAG.SYN);
      const before = performance.now();
      tracker.lookup(packet, 0);
      tracker.commit(packet, 0);
      least[number] = Math.min(least[number], performance.now() - before);
    }
  }
  return least.reduce((longest, one) => Math.max(longest, one), 0);
}

const NAMES = {
  interfaceName: () => "eth0",
  rule: () => ({ chain: "INPUT", isStart: true, label: "web", log: false }),
  application: () => "",
  details: () => undefined,
};

/** Drives a worker's answer to its end. */
function timeSlices(method, count) {
  const { port1, port2 } = new MessageChannel();
  let longest = Number.POSITIVE_INFINITY;
  let fastest = 0;
  for (let round = 0; round < SLICE_ROUNDS; round += 1) {
    const tracker = new Tracker({ capacity: count, seed: SEED });
    fill(tracker, makePacket(), count);
    const desk = new FlowDesk({
      tracker,
      names: NAMES,
      worker: 0,
      creatorId: 1,
      eventsMax: 1,
      now: () => 0,
    });
    let slowest = 0;
    const speed = rate(count, () => {
      for (let cursor = 0; cursor >= 0; ) {
        const before = spent();
        const slice = desk[method]({ cursor, filter: "tcp", quiet: method === "kill" });
        port1.postMessage(slice);
        slowest = Math.max(slowest, spent() - before);
        receiveMessageOnPort(port2);
        cursor = slice.cursor;
      }
    });
    longest = Math.min(longest, slowest);
    fastest = Math.max(fastest, speed);
  }
  port1.close();
  return { speed: fastest, longest };
}

/** Best rate of an operation on flows in a random order. */
function drive(count, packet, operation) {
  const run = () => {
    let number = 1;
    for (let call = 0; call < CALLS; call += 1) {
      number = (Math.imul(number, 1_664_525) + 1_013_904_223) >>> 0;
      aim(packet, number % count, TCP_FLAG.ACK);
      operation(packet);
    }
  };
  return Math.max(...Array.from({ length: ROUNDS }, () => rate(CALLS, run)));
}

/** Longest call of expire while a table of one age runs out, in milliseconds. */
function timeExpiry(tracker) {
  let longest = 0;
  for (let now = 100_000_000; tracker.size > 0; now += 1) {
    const before = spent();
    tracker.expire(now);
    longest = Math.max(longest, spent() - before);
  }
  return longest;
}

function measure(count) {
  const packet = makePacket();
  let tracker = new Tracker({ capacity: count, seed: SEED });
  const inserts = rate(count, () => fill(tracker, packet, count));
  const bytes = tracker.bytes / tracker.size;
  const lookups = drive(count, packet, (one) => tracker.lookup(one, 0));
  const steps = drive(count, packet, (one) => {
    tracker.lookup(one, 0);
    tracker.commit(one, 0);
  });
  const moved = tracker.longestMove;
  const expiry = timeExpiry(tracker);
  tracker = undefined;
  const pause = timeInsertions(count);
  return { inserts, lookups, steps, bytes, moved, pause, expiry };
}

const mega = (value) => `${(value / 1e6).toFixed(2)} M/s`.padStart(12);
const millis = (value) => `${value.toFixed(3)} ms`.padStart(12);
const print = (line) => process.stdout.write(`${line}\n`);

print(`Node ${process.version}, ${cpus()[0].model}`);
print("    flows     inserts     lookups       steps  bytes/flow  moved       pause   expire call");
measure(100_000);
for (const count of SIZES) {
  const { inserts, lookups, steps, bytes, moved, pause, expiry } = measure(count);
  const rates = mega(inserts) + mega(lookups) + mega(steps);
  const work = bytes.toFixed(1).padStart(12) + String(moved).padStart(7);
  print(`${String(count).padStart(9)}${rates}${work}${millis(pause)}${millis(expiry)}`);
}
print("    flows        list  longest slice        kill  longest slice");
for (const count of SIZES) {
  const [list, kill] = ["list", "kill"].map((method) => timeSlices(method, count));
  const columns = [list, kill].map(({ speed, longest }) => mega(speed) + millis(longest).padStart(15));
  print(`${String(count).padStart(9)}${columns.join("")}`);
}
