import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { defaultLimits, InvariantError } from "../base/index.ts";
import { GOLDEN_CAPTURES } from "../testing/golden-captures.ts";
import { fromHex } from "../testing/golden-packets.ts";
import {
  type CaptureFaultCode,
  CaptureReader,
  decodeRecord,
  LINK_TYPE,
  Packet,
  PcapngWriter,
  PcapWriter,
} from "./index.ts";

/** All that a record says, its bytes as hexadecimal digits. */
interface Read {
  readonly frame: string;
  readonly time: string;
  readonly wireBytes: number;
  readonly linkType: number;
  readonly interface: number;
  readonly interfaceName: string;
  readonly number: number;
  readonly offset: number;
}

interface Outcome {
  readonly records: Read[];
  readonly fault: { code: CaptureFaultCode; offset: number } | undefined;
}

function hex(octets: Uint8Array): string {
  return Buffer.from(octets).toString("hex");
}

function octetsOf(bytes: DataView): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Reads a file pushed in the given chunks. The chunk's memory is overwritten as soon as it may be. */
function readChunks(chunks: readonly Uint8Array[], reader = new CaptureReader()): Outcome {
  const records: Read[] = [];
  for (const chunk of chunks) {
    const lent = chunk.slice();
    reader.push(lent);
    for (let record = reader.next(); record !== undefined; record = reader.next()) {
      const { bytes, at, end, seconds, nanoseconds, wireBytes, linkType, interfaceName, number, offset } =
        record;
      records.push({
        frame: hex(octetsOf(bytes).subarray(at, end)),
        time: `${seconds}.${String(nanoseconds).padStart(9, "0")}`,
        wireBytes,
        linkType,
        interface: record.interface,
        interfaceName,
        number,
        offset,
      });
    }
    lent.fill(0xa5);
  }
  return { records, fault: reader.finish() };
}

function cutAt(file: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const places = [...cuts.map((cut) => cut % (file.length + 1)), 0, file.length].toSorted((a, b) => a - b);
  return places.slice(1).map((place, index) => file.subarray(places[index], place));
}

function read(file: Uint8Array, reader = new CaptureReader()): Outcome {
  return readChunks([file], reader);
}

function concat(...parts: readonly (Uint8Array | string)[]): Uint8Array {
  return Uint8Array.from(
    Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part, "hex") : part))),
  );
}

/** Writes numbers in one of the byte orders. */
function number32(value: number, little: boolean): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(4));
  bytes.setUint32(0, value, little);
  return octetsOf(bytes);
}

function number16(value: number, little: boolean): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(2));
  bytes.setUint16(0, value, little);
  return octetsOf(bytes);
}

/** Writes pcapng blocks in either byte order, good or bad. */
class Blocks {
  readonly #little: boolean;

  constructor(little: boolean) {
    this.#little = little;
  }

  u32(...values: readonly number[]): Uint8Array {
    return concat(...values.map((value) => number32(value, this.#little)));
  }

  block(type: number, ...body: readonly (Uint8Array | string)[]): Uint8Array {
    const content = concat(...body);
    const padding = new Uint8Array(-content.length & 3);
    const length = this.u32(12 + content.length + padding.length);
    return concat(this.u32(type), length, content, padding, length);
  }

  section(): Uint8Array {
    const version = concat(number16(1, this.#little), number16(0, this.#little));
    return this.block(0x0a0d0d0a, this.u32(0x1a2b3c4d), version, "ffffffffffffffff");
  }

  option(code: number, value: Uint8Array | string): Uint8Array {
    const content = concat(value);
    const head = concat(number16(code, this.#little), number16(content.length, this.#little));
    return concat(head, content, new Uint8Array(-content.length & 3));
  }

  interface(linkType: number, snapBytes: number, ...options: readonly Uint8Array[]): Uint8Array {
    return this.block(1, number16(linkType, this.#little), "0000", this.u32(snapBytes), ...options);
  }

  enhanced(index: number, time: readonly [high: number, low: number], frame: string): Uint8Array {
    const length = frame.length / 2;
    return this.block(6, this.u32(index, ...time, length, length), frame);
  }
}

// Files that other programs made.

const FRAMES = [
  "02000000000202000000000108004500001d0001000040118e93c0000201c6336407000100020009b29c61",
  "0200000000020200000000018100000586dd60000000000a114020010db800000000000000000000000120010db800000000000000000000000200030004000a41fb6263",
];

for (const [name, bytes] of Object.entries(GOLDEN_CAPTURES)) {
  const file = octetsOf(bytes);
  const kept = name === "snapped" ? 40 : 1000;

  test(`${name}: the frames, lengths and times are those that were put in`, () => {
    const { records, fault } = read(file);
    assert.equal(fault, undefined);
    assert.deepEqual(
      records.map(({ frame }) => frame),
      FRAMES.map((frame) => frame.slice(0, 2 * kept)),
    );
    assert.deepEqual(
      records.map(({ time, wireBytes, linkType, interfaceName }) => [
        time,
        wireBytes,
        linkType,
        interfaceName,
      ]),
      [
        ["1700000000.123456000", 43, LINK_TYPE.ETHERNET, ""],
        ["1700000001.000001000", 68, LINK_TYPE.ETHERNET, ""],
      ],
    );
  });

  test(`${name}: byte by byte it is the same as whole`, () => {
    assert.deepEqual(readChunks(Array.from(file, (octet) => Uint8Array.of(octet))), read(file));
  });

  test(`${name}: cut off anywhere, the records before are given, and then the fault`, () => {
    const whole = read(file);
    // Whole files: up to the last byte of the header, the interface's block, or a record.
    const good = new Set([file.length, ...whole.records.map(({ offset }) => offset)]);
    if (name === "pcapng") good.add(128);
    for (let length = 0; length <= file.length; length += 1) {
      const { records, fault } = read(file.slice(0, length));
      assert.deepEqual(records, whole.records.slice(0, records.length));
      assert.equal(fault?.code, good.has(length) ? undefined : "capture-truncated", `${length} bytes`);
      if (fault !== undefined)
        assert.ok(fault.offset <= length && (good.has(fault.offset) || fault.offset === 0));
    }
  });
}

test("the frames are decoded, through their VLAN tag", () => {
  const reader = new CaptureReader();
  const packet = new Packet();
  reader.push(octetsOf(GOLDEN_CAPTURES.pcapng));
  const seen: string[] = [];
  for (let record = reader.next(); record !== undefined; record = reader.next()) {
    assert.equal(decodeRecord(packet, record), true);
    seen.push(`${packet.sourceText} > ${packet.destinationText} ${record.timestampMs}`);
  }
  assert.deepEqual(seen, [
    "192.0.2.1:1 > 198.51.100.7:2 1700000000123.456",
    "[2001:db8::1]:3 > [2001:db8::2]:4 1700000001000.001",
  ]);
});

// Files that only we make: every kind of block, in both byte orders.

/** A section with two interfaces and every kind of packet block. */
function everything(little: boolean): Uint8Array {
  const blocks = new Blocks(little);
  const offset = little ? blocks.u32(100, 0) : blocks.u32(0, 100);
  const name = blocks.option(2, hex(Buffer.from("veth-ä")));
  return concat(
    blocks.section(),
    blocks.interface(
      LINK_TYPE.RAW,
      4,
      name,
      blocks.option(9, "09"),
      blocks.option(14, offset),
      blocks.option(0, ""),
    ),
    blocks.interface(LINK_TYPE.LINUX_SLL2, 0, blocks.option(1, "61"), blocks.option(9, "8a")),
    // Names, statistics, something of the future.
    blocks.block(4, "00".repeat(40)),
    blocks.block(5, "00".repeat(8)),
    blocks.block(0x8000_0bad, "ff".repeat(33)),
    blocks.enhanced(0, [0x17979cfe, 0x362a0000], "0102030405"),
    blocks.enhanced(1, [0, 0xffff_ffff], "06"),
    blocks.block(3, blocks.u32(6), "11121314"),
    blocks.block(2, number16(1, little), "0007", blocks.u32(1, 0, 2, 9), "2122"),
  );
}

const EVERYTHING = [
  // 1700000000 seconds in nanoseconds, and 100 more.
  { frame: "0102030405", time: "1700000100.000000000", wireBytes: 5, linkType: 101, name: "veth-ä" },
  // Units of 1/1024 second.
  { frame: "06", time: "4194303.999023437", wireBytes: 1, linkType: 276, name: "" },
  // A simple packet block: the interface's snap length, the time of the packet before.
  { frame: "11121314", time: "4194303.999023437", wireBytes: 6, linkType: 101, name: "veth-ä" },
  { frame: "2122", time: "4194304.000000000", wireBytes: 9, linkType: 276, name: "" },
];

function checkEverything(records: readonly Read[]): void {
  assert.deepEqual(
    records.map(({ frame, time, wireBytes, linkType, interfaceName: name }) => ({
      frame,
      time,
      wireBytes,
      linkType,
      name,
    })),
    EVERYTHING,
  );
}

for (const little of [true, false]) {
  test(`every kind of block is read, ${little ? "little" : "big"}-endian`, () => {
    const { records, fault } = read(everything(little));
    assert.equal(fault, undefined);
    checkEverything(records);
  });
}

test("sections follow one another, in any byte order, and each numbers its interfaces anew", () => {
  const first = read(everything(true)).records;
  const { records, fault } = read(concat(everything(true), everything(false), everything(true)));
  assert.equal(fault, undefined);
  for (const part of [0, 1, 2])
    checkEverything(records.slice(part * first.length, (part + 1) * first.length));
  assert.deepEqual(
    records.map(({ number }) => number),
    Array.from(records, (_, index) => index + 1),
  );
});

test("files are the same at any cuts", () => {
  const files = [
    everything(true),
    everything(false),
    ...Object.values(GOLDEN_CAPTURES).map((bytes) => octetsOf(bytes)),
  ];
  fc.assert(
    fc.property(fc.constantFrom(...files), fc.array(fc.nat(1000), { maxLength: 30 }), (file, cuts) => {
      assert.deepEqual(readChunks(cutAt(file, cuts)), read(file));
    }),
    { numRuns: 500 },
  );
});

test("any file gives records and perhaps a fault, the same at any cuts", () => {
  const files = [
    everything(true),
    everything(false),
    ...Object.values(GOLDEN_CAPTURES).map((bytes) => octetsOf(bytes)),
  ];
  const edits = fc.array(fc.tuple(fc.nat(700), fc.nat(255)), { maxLength: 4 });
  const damaged = fc.tuple(fc.constantFrom(...files), edits).map(([file, changes]) => {
    const copy = file.slice();
    for (const [at, value] of changes) copy[at % copy.length] = value;
    return copy;
  });
  const file = fc.oneof(damaged, fc.uint8Array({ maxLength: 100 }));
  fc.assert(
    fc.property(file, fc.array(fc.nat(1000), { maxLength: 10 }), (octets, cuts) => {
      assert.deepEqual(readChunks(cutAt(octets, cuts)), read(octets));
    }),
    { numRuns: 3000 },
  );
});

// Bad files.

const LE = new Blocks(true);
const HEAD = concat(LE.section(), LE.interface(LINK_TYPE.RAW, 0));
const PCAP_HEAD = new PcapWriter(LINK_TYPE.RAW).header();

function without(file: Uint8Array, at: number, value: string): Uint8Array {
  const copy = file.slice();
  copy.set(concat(value), at);
  return copy;
}

const BAD: readonly [title: string, file: Uint8Array, code: CaptureFaultCode, offset: number][] = [
  ["an empty file", concat(), "capture-truncated", 0],
  ["a text", concat(Buffer.from("# Captures")), "capture-magic", 0],
  ["Kuznetzov's modified pcap", concat("34cdb2a1", PCAP_HEAD.slice(4)), "capture-magic", 0],
  ["pcap of version 3", without(PCAP_HEAD, 4, "0300"), "capture-version", 0],
  [
    "a packet longer than the limit",
    concat(PCAP_HEAD, LE.u32(0, 0, 0x10_0001, 0)),
    "capture-record-length",
    24,
  ],
  ["pcapng without byte-order magic", without(HEAD, 8, "00"), "capture-byte-order", 0],
  ["pcapng of version 2", without(HEAD, 12, "02"), "capture-version", 0],
  ["a block length of zero", concat(HEAD, LE.u32(5, 0, 0)), "capture-block-length", 48],
  [
    "a block length that is no multiple of four",
    concat(HEAD, LE.u32(5, 13, 0, 13)),
    "capture-block-length",
    48,
  ],
  ["a block longer than the limit", concat(HEAD, LE.u32(5, 0x100_0004, 0)), "capture-block-length", 48],
  [
    "a section header too short for its fields",
    LE.block(0x0a0d0d0a, LE.u32(0x1a2b3c4d)),
    "capture-block-length",
    0,
  ],
  [
    "an interface too short for its fields",
    concat(LE.section(), LE.block(1, "")),
    "capture-block-length",
    28,
  ],
  [
    "a packet block too short for its fields",
    concat(HEAD, LE.block(6, "00000000")),
    "capture-block-length",
    48,
  ],
  ["a simple packet block without length", concat(HEAD, LE.block(3, "")), "capture-block-length", 48],
  [
    "a packet longer than its block",
    concat(HEAD, LE.block(6, LE.u32(0, 0, 0, 5, 5), "01020304")),
    "capture-block-length",
    48,
  ],
  [
    "a simple packet longer than its block",
    concat(HEAD, LE.block(3, LE.u32(5), "01020304")),
    "capture-block-length",
    48,
  ],
  [
    "a packet in a block longer than the limit",
    concat(HEAD, LE.block(6, LE.u32(0, 0, 0, 0x10_0001, 0))),
    "capture-record-length",
    48,
  ],
  [
    "two lengths that differ",
    without(concat(HEAD, LE.block(3, LE.u32(0))), 60, "14"),
    "capture-block-trailer",
    48,
  ],
  [
    "a packet of an interface that is not there",
    concat(HEAD, LE.enhanced(1, [0, 0], "")),
    "capture-interface",
    48,
  ],
  [
    "a simple packet without interface",
    concat(LE.section(), LE.block(3, LE.u32(0))),
    "capture-interface",
    28,
  ],
  [
    "an option beyond its block",
    concat(LE.section(), LE.interface(1, 0, concat("02000900", "61626364"))),
    "capture-option-length",
    28,
  ],
  [
    "a clock of a resolution that 64 bits can't hold",
    concat(LE.section(), LE.interface(1, 0, LE.option(9, "c0"))),
    "capture-resolution",
    28,
  ],
];

for (const [title, file, code, offset] of BAD) {
  test(`${title} is the fault ${code}`, () => {
    const outcome = read(file);
    assert.deepEqual(outcome, { records: [], fault: { code, offset } });
    assert.deepEqual(readChunks(Array.from(file, (octet) => Uint8Array.of(octet))), outcome);
  });
}

test("one interface more than the limit is a fault", () => {
  const reader = new CaptureReader({ ...defaultLimits(), captureInterfaces: 1 });
  const file = concat(HEAD, LE.interface(LINK_TYPE.RAW, 0));
  assert.deepEqual(read(file, reader).fault, { code: "capture-interfaces", offset: 48 });
});

test("a file that ends inside a block that is passed over is truncated, at that block", () => {
  const file = concat(HEAD, LE.u32(5, 1000), new Uint8Array(100));
  assert.deepEqual(read(file).fault, { code: "capture-truncated", offset: 48 });
});

test("a section without packets is a good file", () => {
  assert.deepEqual(read(LE.section()), { records: [], fault: undefined });
});

test("pushing before the chunk is used up is a bug", () => {
  const reader = new CaptureReader();
  reader.push(octetsOf(GOLDEN_CAPTURES.pcapng));
  reader.next();
  assert.throws(() => reader.push(new Uint8Array(1)), InvariantError);
  assert.throws(() => reader.finish(), InvariantError);
});

test("after a fault nothing is read", () => {
  const reader = new CaptureReader();
  reader.push(concat("00000000"));
  assert.equal(reader.next(), undefined);
  reader.push(octetsOf(GOLDEN_CAPTURES.pcapng));
  assert.equal(reader.next(), undefined);
  assert.equal(reader.fault?.code, "capture-magic");
});

// Writers.

const captured = fc.record({
  bytes: fc.uint8Array({ maxLength: 60 }),
  seconds: fc.nat(0xffff_ffff),
  nanoseconds: fc.nat(999_999_999),
  more: fc.nat(1000),
  comment: fc.string({ unit: "grapheme", maxLength: 10 }),
  interface: fc.nat(1),
});

function summary({ frame, time, wireBytes }: Read): [string, string, number] {
  return [frame, time, wireBytes];
}

test("what is written is read back, from pcap and from pcapng", () => {
  fc.assert(
    fc.property(fc.array(captured, { maxLength: 10 }), (packets) => {
      const pcap = new PcapWriter(LINK_TYPE.RAW);
      const pcapng = new PcapngWriter();
      const plain = [pcap.header()];
      const rich = [
        pcapng.header("postern", "a comment"),
        pcapng.interface({ linkType: LINK_TYPE.RAW, name: "eth0" }),
        pcapng.interface({ linkType: LINK_TYPE.RAW, name: "veth-ä€😀", comment: "second" }),
      ];
      for (const { more, ...packet } of packets) {
        const wireBytes = packet.bytes.length + more;
        plain.push(pcap.packet({ ...packet, wireBytes }));
        rich.push(pcapng.packet({ ...packet, wireBytes }));
      }
      const expected = packets.map(({ bytes, seconds, nanoseconds, more }) => [
        hex(bytes),
        `${seconds}.${String(nanoseconds).padStart(9, "0")}`,
        bytes.length + more,
      ]);
      const fromPcap = readChunks(plain);
      assert.equal(fromPcap.fault, undefined);
      assert.deepEqual(fromPcap.records.map(summary), expected);
      const fromPcapng = readChunks(rich);
      assert.equal(fromPcapng.fault, undefined);
      assert.deepEqual(fromPcapng.records.map(summary), expected);
      const names = ["eth0", "veth-ä€😀"];
      assert.deepEqual(
        fromPcapng.records.map(({ interfaceName }) => interfaceName),
        packets.map((packet) => names[packet.interface]),
      );
    }),
    { numRuns: 200 },
  );
});

test("a pcap writer cuts packets to its snap length", () => {
  const writer = new PcapWriter(LINK_TYPE.RAW, 4);
  const packet = { bytes: new Uint8Array(10).fill(1), seconds: 0, nanoseconds: 0 };
  const [record] = readChunks([writer.header(), writer.packet(packet)]).records;
  assert.deepEqual([record?.frame, record?.wireBytes], ["01010101", 10]);
});

test("a packet of an interface that was not described is a bug", () => {
  const writer = new PcapngWriter();
  writer.header();
  assert.throws(
    () => writer.packet({ bytes: new Uint8Array(0), seconds: 0, nanoseconds: 0 }),
    InvariantError,
  );
});

test("a pcapng file is byte for byte what its specification says", () => {
  const writer = new PcapngWriter();
  const packet = { bytes: Uint8Array.of(1, 2, 3, 4, 5), seconds: 1, nanoseconds: 2, comment: "hi" };
  const file = concat(
    writer.header(),
    writer.interface({ linkType: 101, name: "lo" }),
    writer.packet(packet),
  );
  const expected = fromHex(`
    0a0d0d0a 1c000000 4d3c2b1a 01000000 ffffffff ffffffff 1c000000
    01000000 28000000 65000000 00000000 02000200 6c6f0000 09000100 09000000 00000000 28000000
    06000000 34000000 00000000 00000000 02ca9a3b 05000000 05000000 01020304 05000000
    01000200 68690000 00000000 34000000`);
  assert.equal(hex(file), hex(octetsOf(expected)));
});
