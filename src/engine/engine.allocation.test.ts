/** From bytes to verdict nothing is allocated, and memory stays as it is however many packets come. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const LOAD = fileURLToPath(new URL("../testing/programs/engine-load.js", import.meta.url));

/** With a narrow young generation a collection would hide what was allocated. */
const WIDE = ["--expose-gc", "--min-semi-space-size=512", "--max-semi-space-size=512"];

/** Measurement noise: the process itself allocates now and then. */
const BYTES_PER_PACKET_MAX = 4;
const GROWTH_MAX = 1_000_000;

interface Load {
  readonly bytesPerPacket: number;
  readonly heapGrowth: number;
  readonly buffersGrowth: number;
  readonly flows: number;
}

function load(flags: readonly string[], packets: number): Load {
  return JSON.parse(
    execFileSync(process.execPath, [...flags, LOAD, String(packets)], { encoding: "utf8" }),
  ) as Load;
}

test("a packet costs the engine no allocation", () => {
  const loads: Load[] = [];
  do loads.push(load(WIDE, 400_000));
  while ((loads.at(-1)?.bytesPerPacket ?? 0) >= BYTES_PER_PACKET_MAX && loads.length < 5);
  const bytes = loads.map(({ bytesPerPacket }) => bytesPerPacket);
  assert.ok(Math.min(...bytes) < BYTES_PER_PACKET_MAX, `${bytes.join(", ")} bytes per packet`);
  assert.ok(loads.every(({ flows }) => flows > 1000));
});

test("memory is flat over a million packets", () => {
  const { heapGrowth, buffersGrowth, flows } = load(["--expose-gc"], 1_000_000);
  assert.ok(heapGrowth < GROWTH_MAX, `the heap grew by ${heapGrowth} bytes`);
  assert.ok(buffersGrowth < GROWTH_MAX, `buffers grew by ${buffersGrowth} bytes`);
  assert.ok(flows <= 10_000, `${flows} flows`);
});
