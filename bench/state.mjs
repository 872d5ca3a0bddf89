/**
 * Speed and memory of the state table at 1 thousand, 100 thousand and 1 million flows.
 *
 * Rates and durations count processor time, so that they hold on a busy machine too; flows are looked up in a
 * random order, the hardest for the caches. "insertion" and "expire call" are the longest of all, "moved" is
 * the most index entries that one packet had to move: the work that growth adds.
 *
 * Usage: npm run build && node bench/state.mjs
 */
import { cpus } from "node:os";
import { HOOK, PROTOCOL, TCP_FLAG } from "../dist/base/index.js";
import { Tracker } from "../dist/state/index.js";
import { Packet } from "../dist/wire/index.js";

const SIZES = [1000, 100_000, 1_000_000];
const CALLS = 2_000_000;
const ROUNDS = 3;
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

/** Longest of the insertions that fill a table, in milliseconds. */
function timeInsertions(count) {
  const tracker = new Tracker({ capacity: count, seed: SEED });
  const packet = makePacket();
  let longest = 0;
  for (let number = 0; number < count; number += 1) {
    aim(packet, number, TCP_FLAG.SYN);
    const before = spent();
    tracker.lookup(packet, 0);
    tracker.commit(packet, 0);
    longest = Math.max(longest, spent() - before);
  }
  return longest;
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
  return { inserts, lookups, steps, bytes, moved, insertion: timeInsertions(count), expiry };
}

const mega = (value) => `${(value / 1e6).toFixed(2)} M/s`.padStart(12);
const millis = (value) => `${value.toFixed(3)} ms`.padStart(12);
const print = (line) => process.stdout.write(`${line}\n`);

print(`Node ${process.version}, ${cpus()[0].model}`);
print("    flows     inserts     lookups       steps  bytes/flow  moved   insertion   expire call");
measure(100_000);
for (const count of SIZES) {
  const { inserts, lookups, steps, bytes, moved, insertion, expiry } = measure(count);
  const rates = mega(inserts) + mega(lookups) + mega(steps);
  const work = bytes.toFixed(1).padStart(12) + String(moved).padStart(7);
  print(`${String(count).padStart(9)}${rates}${work}${millis(insertion)}${millis(expiry)}`);
}
