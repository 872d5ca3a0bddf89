import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fromHex, GOLDEN_PACKETS } from "../testing/golden-packets.ts";
import { crc32c, decodePacket, foldChecksum, isChecksumRight, Packet, sumBytes } from "./index.ts";

/** RFC 1071 section 4.1, word by word, with the carry added at once. */
function plainChecksum(octets: Uint8Array): number {
  let sum = 0;
  for (let at = 0; at < octets.length; at += 2) {
    sum += ((octets[at] ?? 0) << 8) | (octets[at + 1] ?? 0);
    sum = (sum & 0xffff) + (sum >>> 16);
  }
  return ~sum & 0xffff;
}

test("the example of RFC 1071 section 3 adds up to ddf2", () => {
  const bytes = fromHex("0001f203f4f5f6f7");
  assert.equal(foldChecksum(sumBytes(bytes, 0, 8)), ~0xddf2 & 0xffff);
});

test("the sum is that of the plain algorithm, in one piece or two, and zero over its own result", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(150), (octets, half) => {
      const bytes = new DataView(octets.slice().buffer);
      const cut = Math.min(2 * half, octets.length);
      const inOne = foldChecksum(sumBytes(bytes, 0, octets.length));
      assert.equal(inOne, plainChecksum(octets));
      assert.equal(foldChecksum(sumBytes(bytes, cut, octets.length, sumBytes(bytes, 0, cut))), inOne);
    }),
  );
});

test("a sum over a megabyte of ones is exact", () => {
  const bytes = new DataView(new Uint8Array(1 << 20).fill(0xff).buffer);
  assert.equal(foldChecksum(sumBytes(bytes, 0, bytes.byteLength)), 0);
});

test("CRC32c of the digits 1 to 9 is the published check value", () => {
  const bytes = fromHex("313233343536373839");
  assert.equal(crc32c(bytes, 0, 9, 9), 0xe306_9283);
});

/**
 * The checksum behind a routing header covers the last address of the route, which is in that header; behind
 * an authentication header scapy writes none.
 */
const WRONG = ["udpIpv6Extensions", "authenticatedIpv6"];

test("golden packets have right checksums; fragments and copies cut short can't be told", () => {
  const packet = new Packet();
  for (const [name, bytes] of Object.entries(GOLDEN_PACKETS)) {
    decodePacket(packet, bytes, 0, bytes.byteLength);
    const expected = name.includes("Fragment") ? undefined : !WRONG.includes(name);
    assert.equal(isChecksumRight(packet), expected, name);
    decodePacket(packet, bytes, 0, bytes.byteLength - 1, bytes.byteLength);
    assert.equal(isChecksumRight(packet), undefined, name);
  }
});
