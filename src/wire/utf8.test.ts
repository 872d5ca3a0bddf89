import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeUtf8, encodeUtf8 } from "./utf8.ts";

function decode(octets: Uint8Array): string {
  return decodeUtf8(new DataView(octets.buffer, octets.byteOffset, octets.byteLength), 0, octets.length);
}

test("text is encoded as the platform encodes it, and read back", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), (text) => {
      const octets = encodeUtf8(text);
      assert.deepEqual(octets, new TextEncoder().encode(text));
      assert.equal(decode(octets), text);
    }),
  );
});

test("half a surrogate pair becomes the replacement character", () => {
  assert.equal(decode(encodeUtf8("a\ud800b")), "a\ufffdb");
});

const BAD = [
  ["the replacement character itself", [0xef, 0xbf, 0xbd], "\ufffd"],
  ["a continuation byte alone", [0x80], "\ufffd"],
  ["an overlong form", [0xc0, 0x80], "\ufffd\ufffd"],
  ["a sequence that is cut short", [0xe2, 0x82], "\ufffd\ufffd"],
  ["a sequence that is broken off", [0xe2, 0x41, 0x42], "\ufffdAB"],
  ["a value beyond Unicode", [0xf4, 0x90, 0x80, 0x80], "\ufffd\ufffd\ufffd\ufffd"],
  ["an overlong form of three bytes", [0xe0, 0x80, 0x80], "\ufffd\ufffd\ufffd"],
  ["half a surrogate pair", [0xed, 0xa0, 0x80], "\ufffd\ufffd\ufffd"],
] as const;

for (const [title, octets, text] of BAD) {
  test(`${title} is read as replacement characters`, () => {
    assert.equal(decode(Uint8Array.from(octets)), text);
    assert.equal(decode(Uint8Array.from([0x61, ...octets, 0x62])), `a${text}b`);
  });
}

test("any bytes are some text", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (octets) => assert.equal(typeof decode(octets), "string")),
  );
});
