import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { AttributeCursor, CONTROL, MESSAGE_FLAG, MessageCursor } from "./message.ts";
import { MessageWriter } from "./message-writer.ts";

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** Types of the messages in a datagram, and the fault that ended the walk. */
function walk(bytes: Uint8Array): { types: number[]; fault: string | undefined } {
  const cursor = new MessageCursor();
  cursor.bind(view(bytes), 0, bytes.length);
  const types: number[] = [];
  while (cursor.next()) types.push(cursor.type);
  return { types, fault: cursor.fault };
}

/** Three messages: an empty one, one with two attributes of which one needs padding, one with a nest. */
function threeMessages(): Uint8Array {
  const writer = new MessageWriter();
  writer.begin(CONTROL.NOOP, 0, 1);
  writer.end();
  writer.beginNetfilter({ type: 0x0302, flags: MESSAGE_FLAG.REQUEST, sequence: 2, family: 2, resource: 77 });
  writer.text(1, "ab");
  writer.uint32(2, 0xdeadbeef);
  writer.end();
  writer.begin(0x20, 0, 3);
  writer.beginNest(5);
  writer.uint16(6, 0x1234);
  writer.endNest();
  writer.end();
  return writer.bytes;
}

describe("netlink messages", () => {
  it("are found one after the other, with their attributes", () => {
    const bytes = threeMessages();
    assert.deepEqual(walk(bytes), { types: [CONTROL.NOOP, 0x0302, 0x20], fault: undefined });

    const message = new MessageCursor();
    message.bind(view(bytes), 0, bytes.length);
    message.next();
    message.next();
    assert.equal(message.sequence, 2);
    assert.equal(message.flags, MESSAGE_FLAG.REQUEST);
    assert.equal(view(bytes).getUint16(message.bodyAt + 2), 77);
    const attribute = new AttributeCursor();
    attribute.bind(view(bytes), message.bodyAt + 4, message.end);
    assert.ok(attribute.next());
    assert.equal(attribute.type, 1);
    assert.equal(attribute.text(), "ab");
    assert.equal(attribute.length, 3);
    assert.ok(attribute.next());
    assert.equal(attribute.uint32(), 0xdeadbeef);
    assert.ok(!attribute.next());
    assert.equal(attribute.fault, undefined);
  });

  it("keep the flag of a nest out of its type", () => {
    const bytes = threeMessages();
    const message = new MessageCursor();
    message.bind(view(bytes), 0, bytes.length);
    while (message.type !== 0x20) message.next();
    const outer = new AttributeCursor();
    outer.bind(view(bytes), message.bodyAt, message.end);
    assert.ok(outer.next());
    assert.equal(outer.type, 5);
    const inner = new AttributeCursor();
    inner.bind(view(bytes), outer.at, outer.end);
    assert.ok(inner.next());
    assert.equal(inner.type, 6);
    assert.equal(inner.length, 2);
  });

  it("end with a fault at every cut that falls inside a message", () => {
    const bytes = threeMessages();
    const whole = new Set([0, 16, 52, bytes.length]);
    for (let end = 0; end <= bytes.length; end += 1) {
      const { fault } = walk(bytes.slice(0, end));
      assert.equal(fault === undefined, whole.has(end), `cut at ${end}: ${fault}`);
    }
  });

  it("with a length below their header are a fault and no endless walk", () => {
    const bytes = new Uint8Array(32);
    assert.deepEqual(walk(bytes), { types: [], fault: "message-length" });
    const attribute = new AttributeCursor();
    attribute.bind(view(bytes), 0, 8);
    assert.ok(!attribute.next());
    assert.equal(attribute.fault, "attribute-length");
    assert.ok(!attribute.next());
  });

  it("give 0 and a fault for a number that is too short", () => {
    const writer = new MessageWriter();
    writer.begin(0x20, 0, 1);
    writer.uint16(1, 7);
    writer.uint32(2, 9);
    writer.end();
    const { bytes } = writer;
    const attribute = new AttributeCursor();
    attribute.bind(view(bytes), 16, bytes.length);
    attribute.next();
    assert.equal(attribute.uint32(), 0);
    assert.equal(attribute.fault, "attribute-length");
    assert.ok(!attribute.next());
  });

  it("made of any bytes are a fault or a value, and nothing is read past the end", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(40), (bytes, guard) => {
        const end = Math.max(0, bytes.length - guard);
        const exact = new DataView(bytes.buffer.slice(0, end));
        const message = new MessageCursor();
        message.bind(exact, 0, end);
        const attribute = new AttributeCursor();
        while (message.next()) {
          assert.ok(message.end <= end);
          attribute.bind(exact, message.bodyAt, message.end);
          while (attribute.next()) {
            assert.ok(attribute.end <= message.end);
            attribute.uint32();
            attribute.text();
          }
        }
      }),
    );
  });
});

describe("a message writer", () => {
  it("grows over its first buffer and pads with zeros", () => {
    const writer = new MessageWriter();
    for (let count = 0; count < 200; count += 1) {
      writer.begin(0x20, 0, count);
      writer.attribute(1, Uint8Array.of(1));
      writer.end();
    }
    const { bytes } = writer;
    assert.equal(bytes.length, 200 * 24);
    assert.equal(walk(bytes).types.length, 200);
    assert.deepEqual([...bytes.subarray(16, 24)], [5, 0, 1, 0, 1, 0, 0, 0]);
  });

  it("refuses a value that no attribute can hold", () => {
    const writer = new MessageWriter();
    writer.begin(0x20, 0, 1);
    assert.throws(() => writer.attribute(1, new Uint8Array(65_532)), { code: "NETLINK_ATTRIBUTE_TOO_LARGE" });
  });
});
