/** What stands for long costs the garbage collector little. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const LOAD = fileURLToPath(new URL("../testing/programs/pinhole-load.js", import.meta.url));

/** Bytes of a standing pinhole that the garbage collector visits, and those that it does not. */
const HEAP_MAX = 512;
const BUFFERS_MAX = 512;

test("a standing pinhole takes half a kilobyte of the heap at most, and as much beside it", () => {
  const words = ["--expose-gc", LOAD, "60000"];
  const { pinholes, heap, buffers } = JSON.parse(
    execFileSync(process.execPath, words, { encoding: "utf8" }),
  ) as { pinholes: number; heap: number; buffers: number };
  assert.equal(pinholes, 60_000);
  assert.ok(heap < HEAP_MAX, `${heap} bytes of the heap`);
  assert.ok(buffers < BUFFERS_MAX, `${buffers} bytes of buffers`);
});
