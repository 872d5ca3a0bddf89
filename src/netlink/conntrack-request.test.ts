import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type Family, ipv4Words, parseAddress } from "../base/index.ts";
import {
  CONNTRACK_FIELD,
  CONNTRACK_MESSAGE,
  ConntrackEntry,
  type ConntrackKey,
  ConntrackReader,
  encodeConntrackDelete,
  encodeConntrackDump,
  encodeConntrackFlush,
  encodeConntrackGet,
  encodeConntrackUpdate,
  HOST_ORDER,
  keyOf,
  MessageCursor,
} from "./index.ts";

function words(text: string): Uint32Array {
  const address = parseAddress(text);
  assert.ok(address, text);
  return address.words;
}

function keyFor(family: Family, protocol: number, id: number, zone = 0): ConntrackKey {
  const entry = new ConntrackEntry();
  entry.clear(family);
  entry.original.source.set(words(family === 4 ? "192.0.2.1" : "2001:db8::1"));
  entry.original.destination.set(words(family === 4 ? "198.51.100.7" : "2001:db8::7"));
  entry.original.protocol = protocol;
  const icmp = protocol === 1 || protocol === 58;
  if (icmp) entry.original.icmpIdentifier = 4711;
  if (icmp) entry.original.icmpType = protocol === 1 ? 8 : 128;
  if (!icmp) entry.original.sourcePort = 40000;
  if (!icmp) entry.original.destinationPort = 443;
  entry.id = id;
  entry.zone = zone;
  return keyOf(entry);
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

describe("conntrack requests", () => {
  const rows: readonly [string, ConntrackKey][] = [
    ["TCP", keyFor(4, 6, 77)],
    ["UDP over IPv6", keyFor(6, 17, 0)],
    ["ICMP", keyFor(4, 1, 0xffffffff, 9)],
    ["ICMPv6", keyFor(6, 58, 1, 65535)],
    ["a protocol without ports", keyFor(4, 50, 3)],
  ];
  for (const [name, key] of rows) {
    it(`name an entry so that reading gives it back: ${name}`, () => {
      for (const encode of [encodeConntrackGet, encodeConntrackDelete]) {
        const message = encode([key], 5);
        const entry = new ConntrackEntry();
        const bytes = new DataView(message.buffer);
        assert.equal(new ConntrackReader().read(entry, bytes, 16, message.length), undefined);
        assert.deepEqual(keyOf(entry), key);
      }
    });
  }

  it("delete many with one message each, numbered in order", () => {
    const keys = [keyFor(4, 6, 1), keyFor(6, 17, 2), keyFor(4, 1, 3)];
    const request = encodeConntrackDelete(keys, 100);
    const cursor = new MessageCursor();
    cursor.bind(new DataView(request.buffer), 0, request.length);
    const sequences: number[] = [];
    while (cursor.next()) {
      assert.equal(cursor.type, CONNTRACK_MESSAGE.DELETE);
      sequences.push(cursor.sequence);
    }
    assert.equal(cursor.fault, undefined);
    assert.deepEqual(sequences, [100, 101, 102]);
  });

  it("delete hundreds in one request, each whole", () => {
    const keys = Array.from({ length: 300 }, (_, id) => keyFor(id % 2 === 0 ? 4 : 6, 6, id + 1));
    const request = encodeConntrackDelete(keys, 1);
    const bytes = new DataView(request.buffer);
    const cursor = new MessageCursor();
    cursor.bind(bytes, 0, request.length);
    const entry = new ConntrackEntry();
    const found: ConntrackKey[] = [];
    while (cursor.next()) {
      assert.equal(new ConntrackReader().read(entry, bytes, cursor.bodyAt, cursor.end), undefined);
      found.push(keyOf(entry));
    }
    assert.deepEqual(found, keys);
  });

  it("change mark and timeout", () => {
    const change = { mark: { value: 0x10000000, mask: 0x30000000 }, timeoutSeconds: 30 };
    const request = encodeConntrackUpdate([keyFor(4, 6, 9)], change, 1);
    const entry = new ConntrackEntry();
    new ConntrackReader().read(entry, new DataView(request.buffer), 16, request.length);
    assert.equal(entry.mark, 0x10000000);
    assert.ok(entry.has(CONNTRACK_FIELD.TIMEOUT));
    assert.equal(entry.timeoutSeconds, 30);
  });

  // Little-endian hosts only: headers and filter flags are in the machine's order.
  it("are these bytes", { skip: HOST_ORDER ? false : "expected bytes are little-endian" }, () => {
    assert.equal(hex(encodeConntrackDump({}, 7)), "1400000001010103070000000000000000000000");
    assert.equal(
      hex(encodeConntrackDump({ mark: { value: 1, mask: 3 }, status: { value: 2, mask: 2 }, zone: 9 }, 7)),
      "3c0000000101010307000000000000000000000008000800000000010800150000000003" +
        "08000300000000020800 1a0000000002 0600120000090000".replaceAll(" ", ""),
    );
    assert.equal(hex(encodeConntrackFlush({}, 1)), "1400000002010500010000000000000000000000");
    const original = { source: ipv4Words(0x0a000001), protocol: 6, destinationPort: 443 };
    assert.equal(
      hex(encodeConntrackDump({ family: 4, original }, 1)),
      (
        "4c000000 01010103 01000000 00000000 02000000 24000180 0c000180 08000100 0a000001 14000280 05000100 06000000" +
        " 06000300 01bb0000 14001980 08000100 29000000 08000200 00000000"
      ).replaceAll(" ", ""),
    );
  });

  it("round trip any TCP tuple", () => {
    const word = fc.nat(0xffffffff);
    const port = fc.nat(0xffff);
    fc.assert(
      fc.property(fc.tuple(word, word, word, word), port, port, (source, sourcePort, destinationPort) => {
        const key = keyFor(6, 6, 12);
        key.original.source.set(source);
        const changed = { ...key, original: { ...key.original, sourcePort, destinationPort } };
        const request = encodeConntrackGet([changed], 1);
        const entry = new ConntrackEntry();
        new ConntrackReader().read(entry, new DataView(request.buffer), 16, request.length);
        assert.deepEqual([...entry.original.source], source);
        assert.equal(entry.original.sourcePort, sourcePort);
        assert.equal(entry.original.destinationPort, destinationPort);
      }),
    );
  });
});
