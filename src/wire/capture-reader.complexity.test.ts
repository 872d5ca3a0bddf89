/** Reading a capture takes time in proportion to its length, and memory that does not grow with it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CaptureReader, LINK_TYPE, PcapngWriter, PcapWriter } from "./index.ts";

/** Largest exponent of the growth of time with length; 1 is proportion, 2 is the square. */
const EXPONENT_MAX = 1.3;
const ROUNDS = 3;

function readAll(header: Uint8Array, chunk: Uint8Array, times: number, chunkBytes: number): number {
  const reader = new CaptureReader();
  let seen = 0;
  const take = (part: Uint8Array): void => {
    reader.push(part);
    while (reader.next() !== undefined) seen += 1;
  };
  take(header);
  for (let time = 0; time < times; time += 1) {
    for (let at = 0; at < chunk.length; at += chunkBytes) take(chunk.subarray(at, at + chunkBytes));
  }
  assert.equal(reader.finish(), undefined);
  return seen;
}

/** Least processor time of several runs, in milliseconds: what is left of noise is the work. */
function fastest(run: () => void): number {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round += 1) {
    const start = process.cpuUsage();
    run();
    best = Math.min(best, process.cpuUsage(start).user / 1000);
  }
  return best;
}

/**
 * Asserts that the time of `run` grows in proportion with its factor. A busy machine gets a second and a
 * third chance: what is quadratic fails each time.
 */
function expectProportion(run: (factor: number) => void): void {
  run(4);
  let least = Number.POSITIVE_INFINITY;
  for (let chance = 0; chance < 3 && least >= EXPONENT_MAX; chance += 1) {
    const short = fastest(() => run(4));
    const long = fastest(() => run(32));
    least = Math.min(least, Math.log(long / short) / Math.log(8));
  }
  assert.ok(least < EXPONENT_MAX, `time grows with the power ${least.toFixed(2)} of the length`);
}

const frame = { bytes: new Uint8Array(100), seconds: 1, nanoseconds: 2 };
const pcap = new PcapWriter(LINK_TYPE.RAW);
const small = Buffer.concat(Array.from({ length: 100 }, () => pcap.packet(frame)));

test("time grows with the number of packets", () => {
  expectProportion((factor) => readAll(pcap.header(), small, 100 * factor, 65_536));
});

test("time grows with the number of packets when bytes trickle in one by one", () => {
  expectProportion((factor) => readAll(pcap.header(), small, factor, 1));
});

test("time grows with the length of one packet that trickles in", () => {
  expectProportion((factor) => {
    const packet = pcap.packet({ ...frame, bytes: new Uint8Array(20_000 * factor) });
    readAll(pcap.header(), packet, 1, 7);
  });
});

test("time grows with the number of blocks that are passed over", () => {
  const writer = new PcapngWriter();
  const header = Buffer.concat([writer.header(), writer.interface({ linkType: LINK_TYPE.RAW })]);
  // The shortest block: a type that nobody knows, and twice its length.
  const block = Uint8Array.of(0xad, 0x0b, 0, 0x80, 12, 0, 0, 0, 12, 0, 0, 0);
  const blocks = Buffer.concat(Array.from({ length: 1000 }, () => block));
  expectProportion((factor) => readAll(header, blocks, 20 * factor, 65_536));
});

test("a gigabyte of capture is read in the memory of one chunk", () => {
  const chunk = Buffer.concat(
    Array.from({ length: 500 }, () => pcap.packet({ ...frame, bytes: new Uint8Array(1500) })),
  );
  const chunkBytes = 65_521;
  const times = Math.ceil(2 ** 30 / chunk.length);
  const before = process.memoryUsage().arrayBuffers;
  assert.equal(readAll(pcap.header(), chunk, times, chunkBytes), 500 * times);
  const grown = process.memoryUsage().arrayBuffers - before;
  assert.ok(grown < 1 << 20, `${grown} bytes of buffers more than before`);
});
