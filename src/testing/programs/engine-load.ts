/**
 * Judges packets of many flows, from bytes to verdict, and prints what that did to the memory: bytes
 * allocated for each packet, and the heap after a collection at a quarter of the load and at its end.
 *
 * Usage: node --expose-gc engine-load.js PACKETS
 */
import { HOOK, PROTOCOL, TCP_FLAG } from "../../base/index.ts";
import { buildPacket, decodePacket, Packet } from "../../wire/index.ts";
import { sampleEngine } from "../engine-sample.ts";

const packets = Number(process.argv[2] ?? 1_000_000);
const collect = (globalThis as { gc?: () => void }).gc ?? (() => undefined);
const rules = Array.from({ length: 20 }, (_, at) => ({
  name: "PortRule",
  protocol: "UDP",
  dst_port: 1000 + at,
}));
const engine = sampleEngine(
  { settings: { compatibility: "strict" }, INPUT: rules },
  { tracker: { capacity: 10_000 } },
);
const kinds = [
  { protocol: PROTOCOL.UDP, flags: 0 },
  { protocol: PROTOCOL.TCP, flags: TCP_FLAG.SYN },
  { protocol: PROTOCOL.TCP, flags: TCP_FLAG.ACK },
].flatMap((kind) => [
  buildPacket({
    ...kind,
    source: "192.0.2.1",
    destination: "198.51.100.7",
    sourcePort: 4000,
    destinationPort: 443,
  }),
  buildPacket({
    ...kind,
    source: "2001:db8::1",
    destination: "2001:db8::7",
    sourcePort: 4000,
    destinationPort: 443,
  }),
]);
const views = kinds.map((bytes) => new DataView(bytes.buffer));
const packet = new Packet();

/** Packets that come in one batch, at one moment, as in a worker. */
const BATCH = 256;

/** Judges one packet, from a source port of its own, so that flows are made, closed and evicted. */
function judgeOne(at: number, now: number): void {
  const view = views[at % views.length] as DataView;
  view.setUint16(view.getUint8(0) >> 4 === 6 ? 40 : 20, at & 0xffff);
  packet.hook = HOOK.INPUT;
  decodePacket(packet, view, 0, view.byteLength);
  engine.judge(packet, now);
}

function judge(from: number, to: number): void {
  for (let at = from; at < to; at += BATCH) {
    const now = Math.floor(at / 100);
    for (let each = at; each < at + BATCH; each += 1) judgeOne(each, now);
    engine.tracker.expire(now);
  }
}

judge(0, packets / 4);
collect();
const early = process.memoryUsage();
judge(packets / 4, packets);
const used = process.memoryUsage().heapUsed - early.heapUsed;
collect();
const late = process.memoryUsage();
process.stdout.write(
  `${JSON.stringify({
    bytesPerPacket: used / (packets * 0.75),
    heapGrowth: late.heapUsed - early.heapUsed,
    buffersGrowth: late.arrayBuffers - early.arrayBuffers,
    flows: engine.tracker.size,
  })}\n`,
);
