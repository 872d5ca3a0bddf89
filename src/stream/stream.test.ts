/**
 * Streams out of order, overlapping, repeated, wrapped, with holes: the consumer sees the bytes as they were
 * sent.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { defaultLimits, type LimitValues, PROTOCOL, TCP_FLAG } from "../base/index.ts";
import { buildPacket, decodePacket, Packet } from "../wire/index.ts";
import {
  ENOUGH,
  type OverlapPolicy,
  type StreamConsumer,
  type StreamDirection,
  StreamTable,
} from "./index.ts";

const { SYN, ACK, FIN, RST, PSH } = TCP_FLAG;

/** Collects what it is given; holds back `appetite` bytes when told to. */
class Collector implements StreamConsumer {
  readonly text: [string, string] = ["", ""];
  readonly gaps: number[] = [];
  readonly conflicts: number[] = [];
  datagrams = 0;
  finished = false;
  /** Bytes that are let go at a time; all when undefined. */
  appetite: number | undefined = undefined;
  wanted = Number.POSITIVE_INFINITY;
  midStream: boolean | undefined = undefined;
  /** Where the bytes of the last hand-over lay. */
  buffer: ArrayBufferLike | undefined = undefined;

  begin(_direction: StreamDirection, midStream: boolean): void {
    this.midStream = midStream;
  }

  receive(direction: StreamDirection, bytes: DataView, at: number, end: number): number {
    const taken = Math.min(end - at, this.appetite ?? end - at);
    this.buffer = bytes.buffer;
    for (let offset = at; offset < at + taken; offset += 1) {
      this.text[direction] += String.fromCharCode(bytes.getUint8(offset));
    }
    return this.text[direction].length >= this.wanted ? ENOUGH : taken;
  }

  datagram(): void {
    this.datagrams += 1;
  }

  gap(_direction: StreamDirection, bytes: number): void {
    this.gaps.push(bytes);
  }

  finish(): void {
    this.finished = true;
  }
}

/** A connection whose packets the test sends by hand. Positions count from the first byte behind the SYN. */
class Wire {
  readonly collector: Collector = new Collector();
  readonly table: StreamTable<Collector>;
  readonly limitsHit: string[] = [];
  readonly #packet: Packet = new Packet();
  readonly #start: number;

  constructor(start: number = 1000, limits: Partial<LimitValues> = {}, overlap: OverlapPolicy = "first") {
    this.#start = start;
    this.table = new StreamTable<Collector>({
      open: () => this.collector,
      limits: { ...defaultLimits(), ...limits },
      overlap,
      observer: {
        conflict: (_direction, offset) => this.collector.conflicts.push(offset),
        limit: (_direction, limit) => this.limitsHit.push(limit),
      },
    });
  }

  send(
    flags: number,
    position: number,
    payload: string,
    acknowledged: number = 0,
    direction: StreamDirection = 0,
  ): void {
    const ends = direction === 0 ? ["192.0.2.1", "198.51.100.7"] : ["198.51.100.7", "192.0.2.1"];
    const ports = direction === 0 ? [40_000, 443] : [443, 40_000];
    const bytes = buildPacket({
      source: ends[0] ?? "",
      destination: ends[1] ?? "",
      sourcePort: ports[0] ?? 0,
      destinationPort: ports[1] ?? 0,
      protocol: PROTOCOL.TCP,
      flags,
      sequence: (this.#start + 1 + position) >>> 0,
      acknowledgement: (this.#start + 1 + acknowledged) >>> 0,
      payload: Uint8Array.from({ length: payload.length }, (_, index) => payload.charCodeAt(index)),
    });
    decodePacket(this.#packet, new DataView(bytes.buffer, bytes.byteOffset, bytes.length), 0, bytes.length);
    this.table.push(this.#packet, 0);
  }

  /** The bytes of the packet sent last. */
  get packetBuffer(): ArrayBufferLike {
    return this.#packet.bytes.buffer;
  }

  open(): this {
    this.send(SYN, -1, "");
    this.send(SYN | ACK, -1, "", 0, 1);
    this.send(ACK, 0, "");
    return this;
  }

  data(position: number, payload: string): void {
    this.send(ACK | PSH, position, payload);
  }

  /** The other side says that it has everything before `position`. */
  acknowledge(position: number): void {
    this.send(ACK, 0, "", position, 1);
  }
}

test("bytes in order are handed over at once", () => {
  const wire = new Wire().open();
  wire.data(0, "abc");
  wire.data(3, "def");
  assert.equal(wire.collector.text[0], "abcdef");
  assert.equal(wire.collector.midStream, false);
});

test("bytes that lie in place are handed over from where they lie, not from a copy", () => {
  const wire = new Wire().open();
  wire.data(0, "abc");
  assert.equal(wire.collector.buffer, wire.packetBuffer);
  wire.data(6, "ghi");
  wire.data(3, "def");
  assert.notEqual(wire.collector.buffer, wire.packetBuffer);
  wire.acknowledge(9);
  wire.data(9, "jkl");
  assert.equal(wire.collector.buffer, wire.packetBuffer);
  assert.equal(wire.collector.text[0], "abcdefghijkl");
});

test("out of order waits for its turn", () => {
  const wire = new Wire().open();
  wire.data(6, "ghi");
  wire.data(3, "def");
  assert.equal(wire.collector.text[0], "");
  wire.data(0, "abc");
  assert.equal(wire.collector.text[0], "abcdefghi");
});

test("sequence numbers wrap", () => {
  const wire = new Wire(0xfffffffd).open();
  wire.data(4, "efg");
  wire.data(0, "abcd");
  assert.equal(wire.collector.text[0], "abcdefg");
});

test("an overlap counts once, whichever way it lies", () => {
  const wire = new Wire().open();
  wire.data(2, "cdef");
  wire.data(4, "efgh");
  wire.data(0, "abcd");
  wire.data(6, "ghij");
  assert.equal(wire.collector.text[0], "abcdefghij");
  assert.deepEqual(wire.collector.conflicts, []);
});

for (const [policy, expected] of [
  ["first", "abcDEF"],
  ["last", "abcdef"],
] as const) {
  test(`other content for bytes that wait: the ${policy} copy stays, and the conflict is told`, () => {
    const wire = new Wire(1000, {}, policy).open();
    wire.data(3, "DEF");
    wire.data(3, "def");
    wire.data(0, "abc");
    assert.equal(wire.collector.text[0], expected);
    assert.deepEqual(wire.collector.conflicts, [3]);
  });
}

test("other content for bytes handed over but not acknowledged is a conflict", () => {
  const wire = new Wire().open();
  wire.data(0, "abcdef");
  wire.data(2, "cXef");
  assert.deepEqual(wire.collector.conflicts, [3]);
  assert.equal(wire.collector.text[0], "abcdef");
});

test("what the peer has acknowledged is compared no more", () => {
  const wire = new Wire().open();
  wire.data(0, "abcdef");
  wire.acknowledge(6);
  wire.data(0, "XXXXXX");
  assert.deepEqual(wire.collector.conflicts, []);
  assert.equal(wire.table.heldBytes, 0);
});

test("no more than the limit of bytes handed over is held for comparison", () => {
  const wire = new Wire(1000, { streamVerifyBytes: 4 }).open();
  wire.data(0, "abcdefgh");
  wire.data(0, "XX");
  assert.deepEqual(wire.collector.conflicts, [], "older bytes are compared no more");
  wire.data(5, "YYY");
  assert.deepEqual(wire.collector.conflicts, [5]);
  const none = new Wire(1000, { streamVerifyBytes: 0 }).open();
  none.data(0, "abcdefgh");
  assert.equal(none.table.heldBytes, 0);
  none.data(0, "XXXXXXXX");
  assert.deepEqual(none.collector.conflicts, []);
});

test("a keep-alive is no conflict", () => {
  const wire = new Wire().open();
  wire.data(0, "abc");
  wire.send(ACK, 2, "\0");
  wire.data(3, "def");
  assert.equal(wire.collector.text[0], "abcdef");
  assert.deepEqual(wire.collector.conflicts, []);
});

test("FIN may carry data, and nothing comes behind it", () => {
  const wire = new Wire().open();
  wire.send(FIN | ACK, 0, "abc");
  wire.data(3, "later");
  wire.send(FIN | ACK, 0, "", 4, 1);
  assert.equal(wire.collector.text[0], "abc");
  assert.equal(wire.collector.finished, true);
});

test("a SYN may carry data", () => {
  const wire = new Wire();
  wire.send(SYN, -1, "abc");
  wire.data(3, "def");
  assert.equal(wire.collector.text[0], "abcdef");
});

test("a stream may begin in the middle", () => {
  const wire = new Wire();
  wire.data(500, "abc");
  wire.data(503, "def");
  assert.equal(wire.collector.text[0], "abcdef");
  assert.equal(wire.collector.midStream, true);
});

test("only a reset at the next byte ends a stream", () => {
  const wire = new Wire().open();
  wire.data(0, "abc");
  wire.send(RST, 1_000_000, "");
  wire.data(3, "def");
  assert.equal(wire.collector.text[0], "abcdef");
  wire.send(RST, 6, "");
  assert.equal(wire.collector.finished, true);
});

test("a hole that the receiver has acknowledged three times is skipped, and said", () => {
  const wire = new Wire().open();
  wire.data(0, "abc");
  wire.data(10, "klm");
  for (let count = 0; count < 3; count += 1) wire.acknowledge(13);
  assert.equal(wire.collector.text[0], "abcklm");
  assert.deepEqual(wire.collector.gaps, [7]);
});

test("limits skip what is missing, and say which", () => {
  const far = new Wire(1000, { streamGapBytes: 1460 }).open();
  far.data(2000, "x");
  assert.deepEqual(far.limitsHit, ["stream-gap"]);
  assert.deepEqual(far.collector.gaps, [2000]);
  const many = new Wire(1000, { streamSegments: 2 }).open();
  for (const position of [2, 4, 6]) many.data(position, "x");
  assert.deepEqual(many.limitsHit, ["stream-segments"]);
  const window = new Wire(1000, { streamWindowBytes: 65_536 }).open();
  window.data(70_000, "x");
  assert.deepEqual(window.limitsHit, ["stream-window"]);
  assert.equal(window.collector.text[0], "x");
});

test("at the memory limit a stream is given up", () => {
  const wire = new Wire(1000, { streamMemoryBytes: 1024 }).open();
  wire.data(10, "x");
  assert.deepEqual(wire.limitsHit, ["stream-memory"]);
  wire.data(0, "abc");
  assert.equal(wire.collector.text[0], "");
  assert.equal(wire.table.heldBytes, 0);
});

test("a consumer that has enough is asked no more and holds no memory", () => {
  const wire = new Wire().open();
  wire.collector.wanted = 3;
  wire.data(6, "ghi");
  wire.data(0, "abc");
  wire.data(3, "def");
  assert.equal(wire.collector.text[0], "abc");
  assert.equal(wire.table.heldBytes, 0);
});

test("an answered SYN on the same ports begins afresh", () => {
  const wire = new Wire().open();
  wire.data(0, "abc");
  wire.send(SYN, 5_000_000, "");
  wire.send(SYN | ACK, 7_000_000, "", 5_000_001, 1);
  wire.data(5_000_001, "def");
  assert.equal(wire.collector.text[0], "abcdef");
  assert.deepEqual(wire.collector.gaps, []);
});

test("another connection on the same ports gives back what the one before held", () => {
  const wire = new Wire().open();
  wire.data(0, "abc");
  wire.data(6, "waits");
  assert.ok(wire.table.heldBytes > 0);
  wire.send(SYN, 5_000_000, "");
  wire.send(SYN | ACK, 7_000_000, "", 5_000_001, 1);
  assert.equal(wire.collector.finished, true);
  assert.deepEqual(wire.collector.gaps, [3]);
  assert.equal(wire.table.heldBytes, 0);
});

test("a stray SYN does not make the connection forgotten", () => {
  const wire = new Wire().open();
  wire.data(0, "abc");
  wire.send(ACK, 0, "", 3, 1);
  wire.send(SYN, 5_000_000, "");
  wire.data(3, "def");
  assert.equal(wire.collector.text[0], "abcdef");
});

test("a SYN behind the end of a connection begins afresh", () => {
  const wire = new Wire().open();
  wire.send(FIN | ACK, 0, "abc");
  wire.send(FIN | ACK, 0, "", 4, 1);
  wire.send(SYN, 5_000_000, "");
  wire.data(5_000_001, "def");
  assert.equal(wire.collector.text[0], "abcdef");
});

test("the flow idle for longest gives way when the table is full", () => {
  const table = new StreamTable<Collector>({
    open: () => new Collector(),
    limits: { ...defaultLimits(), streamFlows: 2 },
  });
  const packet = new Packet();
  for (const port of [1, 2, 1, 3]) {
    const bytes = buildPacket({
      source: "192.0.2.1",
      destination: "192.0.2.2",
      protocol: PROTOCOL.UDP,
      sourcePort: port,
    });
    decodePacket(packet, new DataView(bytes.buffer, bytes.byteOffset, bytes.length), 0, bytes.length);
    table.push(packet, port);
  }
  assert.equal(table.size, 2);
  assert.equal(table.evicted, 1);
  assert.deepEqual(
    [...table.flows()].map((flow) => flow.sourcePort),
    [1, 3],
  );
});

/** A text cut into segments, some twice, some joined with what follows, in any order. */
const shuffled = fc
  .tuple(
    fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 40 }),
    fc.infiniteStream(fc.nat(1000)),
  )
  .map(([lengths, choices]) => {
    const total = lengths.reduce((sum, length) => sum + length, 0);
    const text = Array.from({ length: total }, (_, index) =>
      String.fromCharCode(97 + ((index * 7) % 26)),
    ).join("");
    const segments: [position: number, text: string, order: number][] = [];
    let position = 0;
    const next = (): number => Number(choices.next().value);
    for (const length of lengths) {
      const extra = next() % 4;
      segments.push([position, text.slice(position, position + length + extra), next()]);
      if (next() % 3 === 0) segments.push([position, text.slice(position, position + length), next()]);
      position += length;
    }
    segments.sort((a, b) => a[2] - b[2]);
    return { text, segments };
  });

test("any order, any overlap, any repetition gives the text that was sent", () => {
  fc.assert(
    fc.property(
      shuffled,
      fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined }),
      ({ text, segments }, appetite) => {
        const wire = new Wire(0xffffffe0).open();
        wire.collector.appetite = appetite;
        for (const [position, part] of segments) wire.data(position, part);
        wire.collector.appetite = undefined;
        wire.data(text.length, "!");
        assert.equal(wire.collector.text[0], `${text}!`);
        assert.deepEqual(wire.collector.conflicts, []);
      },
    ),
    { numRuns: 300 },
  );
});

/** Microseconds of processor time that `count` segments take in the given order. */
function timeOrder(count: number, order: (index: number) => number): number {
  const wire = new Wire(1000, {
    streamSegments: 65_536,
    streamGapBytes: 1 << 30,
    streamWindowBytes: 1 << 30,
  }).open();
  const payload = "x".repeat(32);
  const started = process.cpuUsage();
  for (let index = 0; index < count; index += 1) wire.data(order(index) * 32, payload);
  return process.cpuUsage(started).user;
}

/**
 * A permutation that looks random and is the same in every run: the steps are a prime, the count none of it.
 */
const scattered =
  (count: number) =>
  (index: number): number =>
    (index * 6_700_417) % count;

test("cost is linear in order, in reverse, with every other segment first, scattered, and twice", () => {
  const orders: Record<string, (count: number) => (index: number) => number> = {
    forward: () => (index) => index,
    reverse: (count) => (index) => count - 1 - index,
    odd: (count) => (index) => (index < count / 2 ? 2 * index + 1 : 2 * (index - count / 2)),
    scattered,
    twice: (count) => (index) => scattered(count / 2)(index >> 1),
  };
  for (const [name, make] of Object.entries(orders)) {
    timeOrder(2000, make(2000));
    const small = Math.min(...[1, 2, 3, 4, 5].map(() => timeOrder(4000, make(4000))));
    const large = Math.min(...[1, 2, 3, 4, 5].map(() => timeOrder(16_000, make(16_000))));
    const exponent = Math.log(large / small) / Math.log(4);
    assert.ok(exponent < 1.45, `${name}: cost grows with exponent ${exponent.toFixed(2)}`);
  }
});
