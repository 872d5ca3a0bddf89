/**
 * Speed and memory of the state table: insertions and lookups per second at 1 thousand, 100 thousand and 1
 * million flows, bytes per flow, and the longest single operation while the table grows.
 *
 * Usage: npm run build && node bench/state.mjs
 */
import { cpus } from "node:os";
import { HOOK, PROTOCOL, TCP_FLAG } from "../dist/base/index.js";
import { Tracker } from "../dist/state/index.js";
import { Packet } from "../dist/wire/index.js";

const SIZES = [1000, 100_000, 1_000_000];
const LOOKUPS = 3_000_000;
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

/** Fills a tracker; answers it with its speed and its longest insertion. */
function fill(count) {
  const tracker = new Tracker({ capacity: count, seed: SEED });
  const packet = makePacket();
  let longest = 0;
  const start = performance.now();
  for (let number = 0; number < count; number += 1) {
    aim(packet, number, TCP_FLAG.SYN);
    const before = performance.now();
    tracker.lookup(packet, 0);
    tracker.commit(packet, 0);
    longest = Math.max(longest, performance.now() - before);
  }
  return { tracker, packet, perSecond: count / ((performance.now() - start) / 1000), longest };
}

/** Calls an operation for flows in a random order; answers calls per second. */
function drive(count, packet, operation) {
  let number = 1;
  const start = performance.now();
  for (let call = 0; call < LOOKUPS; call += 1) {
    number = (Math.imul(number, 1_664_525) + 1_013_904_223) >>> 0;
    aim(packet, number % count, TCP_FLAG.ACK);
    operation(packet);
  }
  return LOOKUPS / ((performance.now() - start) / 1000);
}

/** Longest call of expire while a table of one age runs out, in milliseconds. */
function drain(tracker) {
  let longest = 0;
  let now = 100_000_000;
  while (tracker.size > 0) {
    const before = performance.now();
    tracker.expire(now);
    longest = Math.max(longest, performance.now() - before);
    now += 1;
  }
  return longest;
}

const mega = (value) => `${(value / 1e6).toFixed(2)} M/s`.padStart(11);
const print = (line) => process.stdout.write(`${line}\n`);

print(`Node ${process.version}, ${cpus()[0].model}`);
print(
  "    flows    inserts    lookups  steps(all)  bytes/flow  longest insert  moved at once  longest expire",
);
for (const count of SIZES) {
  fill(Math.min(count, 100_000));
  const { tracker, packet, perSecond, longest } = fill(count);
  const lookups = drive(count, packet, (one) => tracker.lookup(one, 0));
  const steps = drive(count, packet, (one) => {
    tracker.lookup(one, 0);
    tracker.commit(one, 0);
  });
  const bytes = tracker.bytes / tracker.size;
  const drained = drain(tracker);
  print(
    `${String(count).padStart(9)}${mega(perSecond)}${mega(lookups)}${mega(steps)}${bytes.toFixed(1).padStart(12)}` +
      `${longest.toFixed(2).padStart(13)} ms${String(tracker.longestMove).padStart(15)}${drained.toFixed(2).padStart(13)} ms`,
  );
}
