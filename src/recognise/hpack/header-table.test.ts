/** HPACK against the examples of RFC 7541 appendix C. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { hex } from "../../testing/samples/index.ts";
import { windowOver } from "../byte-window.ts";
import { HeaderTable } from "./header-table.ts";
import { decodeHuffman } from "./huffman.ts";

const decode = (table: HeaderTable, digits: string): string[] => {
  const block = hex(digits);
  return table.decode(windowOver(block), 0, block.length).map(({ name, value }) => `${name}: ${value}`);
};

test("the three Huffman-coded requests of appendix C.4", () => {
  const table = new HeaderTable();
  assert.deepEqual(decode(table, "828684418cf1e3c2e5f23a6ba0ab90f4ff"), [
    ":method: GET",
    ":scheme: http",
    ":path: /",
    ":authority: www.example.com",
  ]);
  assert.deepEqual(decode(table, "828684be5886a8eb10649cbf").at(-1), "cache-control: no-cache");
  assert.deepEqual(
    decode(table, "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf").at(-1),
    "custom-key: custom-value",
  );
});

test("a literal without coding, appendix C.2.1", () => {
  assert.deepEqual(decode(new HeaderTable(), "400a637573746f6d2d6b65790d637573746f6d2d686561646572"), [
    "custom-key: custom-header",
  ]);
});

test("any bytes decode to something without an exception", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (block) => {
      new HeaderTable().decode(windowOver(block), 0, block.length);
      decodeHuffman(block);
    }),
  );
});
