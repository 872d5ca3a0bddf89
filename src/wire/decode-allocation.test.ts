/**
 * Bytes that the packet path allocates per packet. The measurement runs in a process of its own, with a young
 * generation wide enough that nothing is collected while it runs: with default flags a collection would hide
 * it.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { GOLDEN_PACKETS } from "../testing/golden-packets.ts";
import {
  CaptureReader,
  decodePacket,
  decodeQuoted,
  decodeRecord,
  LINK_TYPE,
  Packet,
  PcapWriter,
} from "./index.ts";

const PACKETS = 2_000_000;
const BYTES_PER_PACKET_MAX = 4;
const MEASURE = "--measure";

/** All golden packets in one buffer, as a batch from the kernel has them. */
function makeBatch(): { bytes: DataView; ends: number[] } {
  const ends: number[] = [];
  const octets: number[] = [];
  for (const bytes of Object.values(GOLDEN_PACKETS)) {
    octets.push(...new Uint8Array(bytes.buffer));
    ends.push(octets.length);
  }
  return { bytes: new DataView(Uint8Array.from(octets).buffer), ends };
}

// These live as long as the process, as in a worker: code that was compiled for them goes when they are
// collected.
const batch = makeBatch();
const packet = new Packet();
const quoted = new Packet();

function decodeBatches(count: number): number {
  const { bytes, ends } = batch;
  let seen = 0;
  for (let done = 0; done < count; ) {
    let at = 0;
    for (let index = 0; index < ends.length; index += 1, done += 1) {
      const end = ends[index] ?? 0;
      // One in two is cut short at a place that moves, so that faults are on the path too.
      const cut = done % 2 === 0 ? end : at + (done % (end - at));
      decodePacket(packet, bytes, at, cut, end - at);
      if (decodeQuoted(packet, quoted)) seen += 1;
      seen += packet.sourcePort & 1;
      at = end;
    }
  }
  return seen;
}

/** Some thousand records, as a chunk of a file. */
function makeChunk(): Uint8Array {
  const records: Uint8Array[] = [];
  while (records.length < 10_000) {
    for (const bytes of Object.values(GOLDEN_PACKETS)) {
      records.push(
        writer.packet({ bytes: new Uint8Array(bytes.buffer), seconds: 1.7e9, nanoseconds: 123_456_789 }),
      );
    }
  }
  return Buffer.concat(records);
}

const writer = new PcapWriter(LINK_TYPE.RAW);
const chunk = makeChunk();

function readCaptures(count: number): number {
  const reader = new CaptureReader();
  reader.push(writer.header());
  let seen = 0;
  while (seen < count) {
    assert.equal(reader.next(), undefined);
    reader.push(chunk);
    for (let record = reader.next(); record !== undefined; record = reader.next()) {
      if (decodeRecord(packet, record)) seen += 1;
    }
  }
  return seen;
}

/** Bytes on the heap per packet that `run` left behind; it has run before, so that it is compiled. */
function bytesPerPacket(run: (count: number) => number): number {
  for (let round = 0; round < 3; round += 1) run(PACKETS / 4);
  globalThis.gc?.();
  const before = process.memoryUsage().heapUsed;
  run(PACKETS);
  return (process.memoryUsage().heapUsed - before) / PACKETS;
}

if (process.argv.includes(MEASURE)) {
  const figures = { decode: bytesPerPacket(decodeBatches), capture: bytesPerPacket(readCaptures) };
  process.stdout.write(JSON.stringify(figures));
} else {
  test(`decoding and reading captures allocate less than ${BYTES_PER_PACKET_MAX} bytes per packet`, () => {
    const flags = ["--expose-gc", "--min-semi-space-size=512", "--max-semi-space-size=512"];
    const file = fileURLToPath(import.meta.url);
    const figures: unknown = JSON.parse(
      execFileSync(process.execPath, [...flags, file, MEASURE], { encoding: "utf8" }),
    );
    assert.ok(typeof figures === "object" && figures !== null);
    for (const [what, bytes] of Object.entries(figures)) {
      assert.ok(bytes < BYTES_PER_PACKET_MAX, `${what}: ${bytes} bytes per packet`);
    }
  });
}
