/** Every protocol's sample: whole, byte by byte, at random cuts; and any bytes at all. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { protocolSamples, type ProtocolSample } from "../testing/samples/index.ts";
import { confidenceName, FlowRecognition, type Recognition, RecogniserSet } from "./index.ts";

const STREAMS = protocolSamples.filter((sample) => sample.transport === "TCP");
const DATAGRAMS = protocolSamples.filter((sample) => sample.transport === "UDP");
const set = new RecogniserSet();

/** One direction's bytes as a stream would hold them: what was not let go stays in front. */
class Held {
  #bytes: Uint8Array = new Uint8Array(0);

  feed(flow: FlowRecognition, direction: 0 | 1, more: Uint8Array): void {
    const joined = new Uint8Array(this.#bytes.length + more.length);
    joined.set(this.#bytes);
    joined.set(more, this.#bytes.length);
    const released = flow.receive(direction, new DataView(joined.buffer), 0, joined.length);
    this.#bytes = released < 0 ? new Uint8Array(0) : joined.slice(released);
  }
}

/** Feeds a sample, each turn cut at the given places, and answers what was found. */
function recognise(
  sample: ProtocolSample,
  cut: (length: number) => readonly number[],
): Recognition | undefined {
  const flow = new FlowRecognition(set, sample.transport, 40_000, sample.port ?? 40_001);
  if (sample.name.includes("middle")) flow.begin(0, true);
  const held = [new Held(), new Held()] as const;
  for (const [direction, bytes] of sample.turns) {
    if (sample.transport === "UDP") {
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      flow.datagram(direction, { bytes: view, payloadAt: 0, end: bytes.length, datagramBytes: bytes.length });
      continue;
    }
    let from = 0;
    for (const to of [...cut(bytes.length), bytes.length]) {
      if (to > from) held[direction].feed(flow, direction, bytes.slice(from, to));
      from = Math.max(from, to);
    }
  }
  return flow.result;
}

const everyByte = (length: number): number[] => Array.from({ length }, (_, index) => index + 1);

function checkSample(sample: ProtocolSample, found: Recognition | undefined): void {
  assert.equal(found?.protocol, sample.protocol, sample.name);
  assert.equal(found.encrypted, sample.encrypted ?? false, `${sample.name}: encrypted`);
  if (sample.confidence !== undefined)
    assert.equal(confidenceName(found.confidence), sample.confidence, sample.name);
  if (sample.layers !== undefined) assert.deepEqual(found.layers, sample.layers, sample.name);
  for (const [fact, value] of Object.entries(sample.facts ?? {})) {
    assert.deepEqual(found.facts[fact as keyof typeof found.facts], value, `${sample.name}: ${fact}`);
  }
}

for (const sample of protocolSamples) {
  test(`recognises ${sample.name}`, () => {
    checkSample(
      sample,
      recognise(sample, () => []),
    );
  });
}

test("every protocol that can be found has a sample", () => {
  const shown = new Set(protocolSamples.flatMap((sample) => sample.layers ?? [sample.protocol]));
  assert.deepEqual(
    set.protocols.filter((protocol) => !shown.has(protocol)),
    [],
  );
});

for (const sample of STREAMS) {
  test(`recognises ${sample.name} byte by byte`, () => checkSample(sample, recognise(sample, everyByte)));

  test(`recognises ${sample.name} at random cuts`, () => {
    const cuts = fc.array(fc.nat(400), { maxLength: 8 });
    fc.assert(
      fc.property(cuts, (places) => {
        const sorted = [...places].sort((a, b) => a - b);
        checkSample(
          sample,
          recognise(sample, (length) => sorted.filter((place) => place < length)),
        );
      }),
      { numRuns: 25 },
    );
  });
}

/** A view that counts what is read of it, byte by byte and number by number. */
class CountingView extends DataView<ArrayBuffer> {
  reads = 0;

  override getUint8(offset: number): number {
    this.reads += 1;
    return super.getUint8(offset);
  }

  override getUint16(offset: number, littleEndian?: boolean): number {
    this.reads += 1;
    return super.getUint16(offset, littleEndian);
  }

  override getUint32(offset: number, littleEndian?: boolean): number {
    this.reads += 1;
    return super.getUint32(offset, littleEndian);
  }
}

/** Reads that a stream costs which begins as a sample does, goes on with one byte, and comes byte by byte. */
function readsOf(sample: ProtocolSample, headBytes: number, fill: number, length: number): number {
  const bytes = new Uint8Array(length).fill(fill);
  const [direction, head] = sample.turns[0] ?? assert.fail();
  bytes.set(head.slice(0, Math.min(headBytes, length)));
  const view = new CountingView(bytes.buffer);
  const flow = new FlowRecognition(set, "TCP", 40_000, 40_001);
  let at = 0;
  for (let end = 1; end <= length && !flow.settled; end += 1) {
    const released = flow.receive(direction, view, at, end);
    if (released < 0) break;
    at += released;
  }
  return view.reads;
}

test("a stream that trickles in costs no more looks at its bytes than it has bytes, times a constant", () => {
  for (const sample of STREAMS) {
    for (const headBytes of [3, 20, 4000]) {
      for (const fill of [0, 0x20, 0x61]) {
        const short = readsOf(sample, headBytes, fill, 8000);
        const long = readsOf(sample, headBytes, fill, 32_000);
        const what = `${sample.name}, ${headBytes} bytes and ${fill}: ${short}, ${long} reads`;
        // Four times the bytes, and what the head costs once.
        assert.ok(long <= 5 * short + 100_000, what);
      }
    }
  }
});

/** Bytes of a sample with some of them changed, cut short somewhere. */
const damaged = fc
  .tuple(
    fc.constantFrom(...protocolSamples),
    fc.array(fc.tuple(fc.nat(600), fc.nat(255)), { maxLength: 6 }),
    fc.nat(800),
  )
  .map(([sample, changes, length]) => ({
    ...sample,
    turns: sample.turns.map(([direction, bytes]) => {
      const copy = bytes.slice(0, Math.max(1, length));
      for (const [at, value] of changes) if (at < copy.length) copy[at] = value;
      return [direction, copy] as const;
    }),
  }));

test("damaged exchanges never throw", () => {
  fc.assert(
    fc.property(damaged, fc.boolean(), (sample, other) => {
      recognise(other ? { ...sample, transport: sample.transport === "TCP" ? "UDP" : "TCP" } : sample, () => [
        3, 20,
      ]);
    }),
    { numRuns: 3000 },
  );
});

test("any bytes never throw and are seldom taken for a protocol", () => {
  let certain = 0;
  const turn = fc.tuple(fc.constantFrom<0 | 1>(0, 1), fc.uint8Array({ minLength: 1, maxLength: 200 }));
  fc.assert(
    fc.property(
      fc.array(turn, { minLength: 1, maxLength: 4 }),
      fc.constantFrom("TCP", "UDP"),
      (turns, transport) => {
        const found = recognise(
          { name: "", transport: transport === "TCP" ? "TCP" : "UDP", turns, protocol: "" },
          () => [7],
        );
        if (found !== undefined && confidenceName(found.confidence) === "certain") certain += 1;
      },
    ),
    { numRuns: 3000 },
  );
  assert.ok(certain < 10, `${certain} of 3000 random exchanges were certain`);
});

test("a datagram cut at every length never throws", () => {
  for (const sample of DATAGRAMS) {
    for (const [direction, bytes] of sample.turns) {
      for (let length = 1; length < bytes.length; length += 1) {
        recognise({ ...sample, turns: [[direction, bytes.slice(0, length)]] }, () => []);
      }
    }
  }
});
