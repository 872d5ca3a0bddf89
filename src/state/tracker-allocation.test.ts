/**
 * Bytes that the tracker allocates per packet. The measurement runs in a process of its own, with a young
 * generation wide enough that nothing is collected while it runs: with default flags a collection would hide
 * it.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { HOOK, PROTOCOL } from "../base/index.ts";
import { Conversation, packetAt } from "../testing/conversation.ts";
import { encodeTcpOptions, type Packet } from "../wire/index.ts";
import { Tracker } from "./tracker.ts";

const PACKETS = 1_000_000;
const BYTES_PER_PACKET_MAX = 4;
const MEASURE = "--measure";

/** A whole connection with options, timestamps and numbers beyond 2^31, and some datagrams of other kinds. */
function makeTraffic(): Packet[] {
  const conversation = new Conversation();
  conversation.remote.next = 0xf000_0000;
  const options = { tcpOptions: encodeTcpOptions({ timestamps: [0xf000_0001, 5], windowScale: 7 }) };
  const packets = [conversation.received("S", options), conversation.sent("SA", options)];
  for (let round = 0; round < 20; round += 1) {
    packets.push(conversation.received("PA", { bytes: 100, ...options }), conversation.sent("A", options));
  }
  packets.push(conversation.received("FA"), conversation.sent("FA"), conversation.received("A"));
  packets.push(conversation.received("R", { sequence: 0xe000_0000 }));
  for (const protocol of [PROTOCOL.UDP, PROTOCOL.SCTP, PROTOCOL.ICMP, 47]) {
    packets.push(packetAt(HOOK.INPUT, { source: "192.0.2.9", destination: "192.0.2.2", protocol }));
  }
  packets.push(packetAt(HOOK.FORWARD, { source: "2001:db8::1", destination: "2001:db8::2", protocol: 17 }));
  return packets;
}

// These live as long as the process, as in a worker: code that was compiled for them goes when they are
// collected.
const traffic = makeTraffic();
const trackers = [new Tracker({ capacity: 1000 }), new Tracker({ capacity: 1000, strict: true })];
const clock = { now: 1.7e12 };

/**
 * One batch: a round of the traffic from an address of its own, so that flows are made, closed and evicted.
 */
function trackBatch(address: number, now: number): number {
  let answers = 0;
  for (const packet of traffic) {
    const remote = packet.hook === HOOK.OUTPUT ? packet.destination : packet.source;
    remote[3] = address;
    for (const tracker of trackers) {
      tracker.lookup(packet, now);
      answers += tracker.commit(packet, now) & 1;
    }
  }
  for (const tracker of trackers) answers += tracker.expire(now);
  return answers;
}

function track(count: number): number {
  let answers = 0;
  for (let done = 0; done < count; done += traffic.length) {
    clock.now += 0.37;
    answers += trackBatch((done * 7919) | 0, clock.now);
  }
  return answers;
}

if (process.argv.includes(MEASURE)) {
  for (let round = 0; round < 4; round += 1) track(PACKETS / 4);
  globalThis.gc?.();
  const before = process.memoryUsage().heapUsed;
  track(PACKETS);
  process.stdout.write(String((process.memoryUsage().heapUsed - before) / PACKETS));
} else {
  test(`looking up, entering and expiring allocate less than ${BYTES_PER_PACKET_MAX} bytes per packet`, () => {
    const flags = ["--expose-gc", "--min-semi-space-size=512", "--max-semi-space-size=512"];
    const file = fileURLToPath(import.meta.url);
    const runs: number[] = [];
    do runs.push(Number(execFileSync(process.execPath, [...flags, file, MEASURE], { encoding: "utf8" })));
    while ((runs.at(-1) ?? 0) >= BYTES_PER_PACKET_MAX && runs.length < 5);
    assert.ok(Math.min(...runs) < BYTES_PER_PACKET_MAX, `${runs.join(", ")} bytes per packet`);
  });
}
