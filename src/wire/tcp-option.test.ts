import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { InvariantError } from "../base/index.ts";
import { fromHex, GOLDEN_PACKETS } from "../testing/golden-packets.ts";
import {
  encodeTcpOptions,
  TCP_OPTION,
  type TcpOptionFault,
  type TcpOptionFields,
  TcpOptions,
  TcpView,
} from "./index.ts";

function walk(options: TcpOptions): TcpOptionFields & { kinds: number[] } {
  const found: { -readonly [Name in keyof TcpOptionFields]: TcpOptionFields[Name] } = {};
  const kinds: number[] = [];
  while (options.next()) {
    kinds.push(options.kind);
    if (options.kind === TCP_OPTION.MAXIMUM_SEGMENT_SIZE)
      found.maximumSegmentSize = options.maximumSegmentSize;
    if (options.kind === TCP_OPTION.SACK_PERMITTED) found.sackPermitted = true;
    if (options.kind === TCP_OPTION.WINDOW_SCALE) found.windowScale = options.windowScale;
    if (options.kind === TCP_OPTION.TIMESTAMPS)
      found.timestamps = [options.timestampValue, options.timestampEcho];
    if (options.kind === TCP_OPTION.SACK) {
      const blocks: [number, number][] = [];
      for (let block = 0; block < options.sackBlocks; block += 1) {
        blocks.push([options.sackLeft(block), options.sackRight(block)]);
      }
      found.sack = blocks;
    }
  }
  return { ...found, kinds };
}

function optionsOf(hex: string): TcpOptions {
  const bytes = fromHex(hex);
  const options = new TcpOptions();
  options.bind(bytes, 0, bytes.byteLength);
  return options;
}

test("the options of the golden segment are read through the header's view", () => {
  const tcp = new TcpView();
  const bytes = GOLDEN_PACKETS.tcpIpv4;
  assert.equal(tcp.bind(bytes, 20, bytes.byteLength), undefined);
  const options = new TcpOptions();
  options.bind(bytes, tcp.optionsAt, tcp.payloadAt);
  assert.deepEqual(walk(options), {
    kinds: [2, 4, 8, 3],
    maximumSegmentSize: 1460,
    sackPermitted: true,
    timestamps: [0x1122_3344, 0x5566_7788],
    windowScale: 7,
  });
  assert.equal(options.fault, undefined);
});

const CASES: readonly [title: string, hex: string, kinds: number[], fault: TcpOptionFault | undefined][] = [
  ["no options", "", [], undefined],
  ["only padding", "01010101", [], undefined],
  ["nothing is read behind the end of options", "00020405b4", [], undefined],
  ["an option without length", "0101fe", [], "tcp-option-truncated"],
  ["an option of length zero, which would never end", "0402fe00", [4], "tcp-option-length"],
  ["an unknown option of length one", "fe01", [], "tcp-option-length"],
  ["an unknown option is told by its kind", "fe04ffff0402", [0xfe, 4], undefined],
  ["an unknown option beyond the header", "0402fe0900", [4], "tcp-option-truncated"],
  ["a maximum segment size of three bytes", "020305", [], "tcp-option-length"],
  ["a window scale of four bytes", "03040700", [], "tcp-option-length"],
  ["SACK permitted with data", "040300", [], "tcp-option-length"],
  ["timestamps of nine bytes", "080900000000000000", [], "tcp-option-length"],
  ["SACK without a block", "0502", [], "tcp-option-length"],
  ["SACK with half a block", "050600000000", [], "tcp-option-length"],
  ["SACK beyond the header", "050a00000000", [], "tcp-option-truncated"],
];

for (const [title, hex, kinds, fault] of CASES) {
  test(title, () => {
    const options = optionsOf(hex);
    assert.deepEqual(walk(options).kinds, kinds);
    assert.equal(options.fault, fault);
    assert.equal(options.next(), false, "a walk that has ended stays ended");
  });
}

test("a window scale above 14 is read as 14", () => {
  assert.deepEqual(walk(optionsOf("0303ff")).windowScale, 14);
});

test("asking for a block that the option has not is a bug", () => {
  const options = optionsOf("050a0000000100000002");
  assert.equal(options.next(), true);
  assert.deepEqual([options.sackBlocks, options.sackLeft(0), options.sackRight(0)], [1, 1, 2]);
  assert.throws(() => options.sackLeft(1), InvariantError);
});

const word = fc.integer({ min: 0, max: 0xffff_ffff });
const fields = fc.record(
  {
    maximumSegmentSize: fc.nat(0xffff),
    windowScale: fc.nat(14),
    sackPermitted: fc.constant(true),
    timestamps: fc.tuple(word, word),
    sack: fc.array(fc.tuple(word, word), { minLength: 1, maxLength: 2 }),
  },
  { requiredKeys: [] },
);

test("what is written is read back", () => {
  fc.assert(
    fc.property(fields, (written) => {
      const octets = encodeTcpOptions(written);
      assert.equal(octets.length % 4, 0);
      const options = new TcpOptions();
      options.bind(new DataView(octets.buffer), 0, octets.length);
      const { kinds: _, ...found } = walk(options);
      assert.deepEqual(found, { ...written });
      assert.equal(options.fault, undefined);
    }),
  );
});

test("more options than a header has room for are a bug", () => {
  const sack = new Array<[number, number]>(5).fill([1, 2]);
  assert.throws(() => encodeTcpOptions({ sack }), InvariantError);
});
