import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { MessageCursor } from "./message.ts";
import { QueuePacketView } from "./queue-packet.ts";

// Messages of kernel 6.18, read from the socket (veth pair, `meta mark set 0x1234` before the queue at
// output).

/** OUTPUT: UDP datagram "hello" by root, checksum not ready. */
const UDP_OUT =
  "6d000000000300000000000000000000020000000b00010000000001080003000800060000000002080003000000123408001000" +
  "00000000080011000000000008000e000000000125000a0045000021b0bd4000401175fa0a0900010a090002810d14e9000d1433" +
  "68656c6c6f";

/** INPUT: IPv6 SYN on the loopback interface, with a hardware address. */
const SYN6_IN =
  "9c0000000003000000000000000000000a0000000b0001000000000486dd01000800050000000001080003000000123410000900" +
  "00060000000000000000000008000e000000000154000a0060027be4002806400000000000000000000000000000000100000000" +
  "000000000000000000000001d6580062523e66d900000000a002ffc4003000000204ffc40402080adb4ee0bf000000000103030a";

/** INPUT: ICMP echo reply of 428 bytes, 64 of them copied. */
const SHORT_COPY =
  "8c000000000300000000000000000000020000000b000100000000080800010008000500000000021000090000060000568bc48e" +
  "d820000008000d00000001ac08000e000000000444000a00450001ac2810000040013d2d0a0900020a0900010000a28a5db60001" +
  "ce01026b000000008dfd0d0000000000101112131415161718191a1b1c1d1e1f20212223";

interface Bound {
  view: QueuePacketView;
  fault: string | undefined;
  bytes: DataView;
}

function bind(bytes: Uint8Array): Bound {
  const data = new DataView(bytes.buffer);
  const message = new MessageCursor();
  message.bind(data, 0, bytes.length);
  message.next();
  const view = new QueuePacketView();
  const fault = message.fault ?? view.bind(data, message.bodyAt, message.end);
  return { view, fault, bytes: data };
}

function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, "hex"));
}

/** The same message, with its length field made to fit a cut at `end`. */
function cut(hex: string, end: number): Uint8Array {
  const bytes = fromHex(hex).slice(0, end);
  if (end >= 4) new DataView(bytes.buffer).setUint32(0, end, true);
  return bytes;
}

describe("a queued packet", () => {
  it("that this host sends names its owner, its way and its mark", () => {
    const { view, fault, bytes } = bind(fromHex(UDP_OUT));
    assert.equal(fault, undefined);
    assert.equal(view.id, 1);
    assert.equal(view.hook, 3);
    assert.equal(view.etherType, 0x0800);
    assert.equal(view.mark, 0x1234);
    assert.equal(view.inInterface, 0);
    assert.equal(view.outInterface, 2);
    assert.equal(view.userId, 0);
    assert.equal(view.groupId, 0);
    assert.equal(view.wireBytes, 33);
    assert.equal(view.payloadEnd - view.payloadAt, 33);
    assert.equal(bytes.getUint8(view.payloadAt), 0x45);
    assert.ok(view.checksumNotReady);
    assert.ok(!view.segmentsToCome);
  });

  it("that comes in has no owner", () => {
    const { view } = bind(fromHex(SYN6_IN));
    assert.equal(view.hook, 1);
    assert.equal(view.etherType, 0x86dd);
    assert.equal(view.inInterface, 1);
    assert.equal(view.userId, -1);
    assert.equal(view.groupId, -1);
    assert.equal(view.wireBytes, 80);
  });

  it("tells its length when the copy was cut short", () => {
    const { view } = bind(fromHex(SHORT_COPY));
    assert.equal(view.payloadEnd - view.payloadAt, 64);
    assert.equal(view.wireBytes, 428);
    assert.ok(view.checksumNotVerified);
  });

  it("hands its metadata to a packet record and leaves nothing of the packet before", () => {
    const record = { hook: 0, inInterface: 0, outInterface: 0, mark: 0, userId: 0, groupId: 0 };
    const view = new QueuePacketView();
    for (const hex of [UDP_OUT, SHORT_COPY]) {
      const bytes = fromHex(hex);
      view.bind(new DataView(bytes.buffer), 16, bytes.length);
    }
    view.describe(record);
    const expected = { hook: 1, inInterface: 2, outInterface: 0, mark: 0, userId: -1, groupId: -1 };
    assert.deepEqual(record, expected);
  });

  it("without an id is a fault", () => {
    const { view, fault } = bind(cut(UDP_OUT, 20));
    assert.equal(fault, "attribute-missing");
    assert.ok(!view.hasId);
  });

  it("cut anywhere is a fault or a shorter packet, never an exception", () => {
    for (const hex of [UDP_OUT, SYN6_IN, SHORT_COPY]) {
      const length = hex.length / 2;
      for (let end = 0; end < length; end += 1) {
        const { view } = bind(cut(hex, end));
        assert.ok(view.payloadEnd <= end);
        if (end >= 32) assert.ok(view.hasId, "the id comes first, so that a cut message can be answered");
      }
    }
  });

  it("made of any bytes is a fault or a value", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 160 }), (bytes) => {
        const exact = bytes.slice();
        const view = new QueuePacketView();
        view.bind(new DataView(exact.buffer), 0, exact.length);
        assert.ok(view.payloadAt <= view.payloadEnd && view.payloadEnd <= Math.max(exact.length, 0));
      }),
    );
  });

  it("with any byte changed is a fault or a value", () => {
    const source = fc.constantFrom(UDP_OUT, SYN6_IN, SHORT_COPY);
    fc.assert(
      fc.property(source, fc.nat(), fc.nat(255), (hex, place, value) => {
        const bytes = fromHex(hex);
        bytes[place % bytes.length] = value;
        const { view } = bind(bytes);
        assert.ok(view.payloadEnd <= bytes.length);
      }),
    );
  });
});
