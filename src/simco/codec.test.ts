import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { crc32 } from "node:zlib";
import fc from "fast-check";
import {
  octetsOf,
  REFUSED_VECTORS,
  simcoMessages,
  vector,
  VECTOR_MESSAGES,
  VECTORS,
} from "../testing/index.ts";
import { decodeFromMiddlebox, decodeMessage, decodeRequest } from "./decode.ts";
import { encodeMessage } from "./encode.ts";
import { decodeHeader, encodeHeader, HEADER_OCTETS, MessageReader, PAYLOAD_MAX } from "./header.ts";
import { CODE, LAYOUT, type MessageName } from "./message.ts";

const MESSAGES_SEEN_MIN = 28;

function view(octets: Uint8Array): DataView {
  return new DataView(octets.buffer, octets.byteOffset, octets.byteLength);
}

function hexOf(octets: Uint8Array): string {
  return Buffer.from(octets).toString("hex");
}

/** The same message with another length in its header. */
function withLength(octets: Uint8Array): Uint8Array {
  const copy = octets.slice();
  const { code, tid } = decodeHeader(view(copy));
  encodeHeader(view(copy), { code, tid, length: copy.length - HEADER_OCTETS });
  return copy;
}

describe("the vectors", () => {
  it("are copied right, and each has its meaning in words", () => {
    assert.ok(VECTORS.length >= MESSAGES_SEEN_MIN);
    for (const { id, crc, pieces } of VECTORS) {
      assert.equal(
        crc32(octetsOf(...pieces))
          .toString(16)
          .padStart(8, "0"),
        crc,
        id,
      );
      assert.ok(VECTOR_MESSAGES[id] !== undefined, id);
    }
  });

  it("are read as what they mean, and written again to the octet", () => {
    for (const { id } of VECTORS) {
      const message = VECTOR_MESSAGES[id];
      assert.ok(message !== undefined);
      assert.deepEqual(decodeMessage(view(vector(id))), message, id);
      assert.equal(hexOf(encodeMessage(message)), hexOf(vector(id)), id);
    }
  });

  it("are read by the lenient reader too, but for requests", () => {
    for (const { id } of VECTORS) {
      const isRequest = vector(id)[0] === 1;
      const expected = isRequest ? "basic-type" : VECTOR_MESSAGES[id];
      assert.deepEqual(decodeFromMiddlebox(view(vector(id))), expected, id);
    }
  });

  it("are faults when anything is cut off at their end", () => {
    for (const { id } of VECTORS) {
      const octets = vector(id);
      for (let length = HEADER_OCTETS; length < octets.length; length += 1) {
        const cut = withLength(octets.slice(0, length));
        const read = decodeMessage(view(cut));
        if (typeof read === "string") continue;
        // What is left is a message of its own when only optional attributes, or members of a list, are gone.
        assert.equal(hexOf(encodeMessage(read)), hexOf(cut), `${id} cut to ${length}`);
      }
    }
  });

  it("are faults with anything behind them", () => {
    for (const { id } of VECTORS) {
      for (let more = 1; more < 4; more += 1) {
        const longer = withLength(octetsOf(hexOf(vector(id)), "000000".slice(0, 2 * more)));
        assert.equal(typeof decodeMessage(view(longer)), "string", id);
      }
    }
  });
});

describe("any message", () => {
  it("is read as it was written", () => {
    fc.assert(
      fc.property(simcoMessages, (message) => {
        assert.deepEqual(decodeMessage(view(encodeMessage(message))), message);
      }),
      { numRuns: 2000 },
    );
  });

  it("of a middlebox is read by the lenient reader as by the strict one", () => {
    const fromMiddlebox = simcoMessages.filter(
      (message) => message.name === "NEGATIVE" || !["SE", "SA", "ST"].includes(message.name),
    );
    fc.assert(
      fc.property(fromMiddlebox, (message) => {
        const bytes = view(encodeMessage(message));
        if (bytes.getUint8(0) === 1) return;
        assert.deepEqual(decodeFromMiddlebox(bytes), message);
      }),
      { numRuns: 1000 },
    );
  });

  it("is cut out of a stream whatever the pieces in which it comes", () => {
    fc.assert(
      fc.property(
        fc.array(simcoMessages, { minLength: 1, maxLength: 6 }),
        fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 10 }),
        (messages, sizes) => {
          const whole = octetsOf(...messages.map((message) => hexOf(encodeMessage(message))));
          const reader = new MessageReader();
          const read: unknown[] = [];
          for (let at = 0, turn = 0; at < whole.length; turn += 1) {
            const size = sizes[turn % sizes.length] ?? 1;
            reader.push(whole.subarray(at, at + size));
            at += size;
            for (;;) {
              const next = reader.next(PAYLOAD_MAX);
              if (next === undefined || next === "header-length") break;
              read.push(decodeMessage(next));
            }
          }
          assert.deepEqual(read, messages);
          assert.equal(reader.waiting, 0);
        },
      ),
      { numRuns: 300 },
    );
  });

  it("longer than allowed is known by its header", () => {
    const reader = new MessageReader();
    reader.push(octetsOf("0101 0009 00000001"));
    assert.equal(reader.next(8), "header-length");
  });
});

describe("any octets", () => {
  it("are a message or a fault, and never an exception", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: HEADER_OCTETS, maxLength: 200 }), (octets) => {
        for (const decode of [decodeMessage, decodeRequest, decodeFromMiddlebox]) {
          const read = decode(view(octets));
          assert.ok(typeof read === "string" || typeof read.tid === "number");
        }
      }),
      { numRuns: 2000 },
    );
  });

  it("with the header of a known message are a message or a fault", () => {
    const attribute = fc
      .tuple(fc.nat(12), fc.uint8Array({ maxLength: 26 }))
      .map(([type, value]) => octetsOf("00", hexOf(Uint8Array.of(type, 0, value.length)), hexOf(value)));
    const names = Object.keys(LAYOUT) as MessageName[];
    fc.assert(
      fc.property(fc.constantFrom(...names), fc.array(attribute, { maxLength: 8 }), (name, attributes) => {
        const octets = withLength(octetsOf("0000 0000 00000007", ...attributes.map(hexOf)));
        const { tid, length } = decodeHeader(view(octets));
        encodeHeader(view(octets), { code: CODE[name], length, tid });
        const read = decodeMessage(view(octets));
        assert.ok(typeof read === "string" || read.name === name);
      }),
      { numRuns: 2000 },
    );
  });
});

describe("a refused request", () => {
  const WORDS: Readonly<Record<string, string>> = {
    M01: "basic-type",
    M02: "sub-type",
    M03: "attribute-missing",
    M05: "attribute-truncated",
    M06: "tuple-form",
  };

  it("has its word when it is malformed, and can be read when only its content is wrong", () => {
    assert.equal(REFUSED_VECTORS.length, 16);
    for (const { id, request } of REFUSED_VECTORS) {
      const read = decodeRequest(view(octetsOf(request)));
      if (WORDS[id] === undefined) assert.notEqual(typeof read, "string", id);
      else assert.equal(read, WORDS[id], id);
    }
  });
});

describe("a reply of another make", () => {
  it("is read with its attributes in another order, and without the inside tuple", () => {
    const [head = "", pid = "", gid = "", lifetime = "", outside = "", inside = ""] =
      VECTORS.find(({ id }) => id === "V14")?.pieces ?? [];
    const shuffled = octetsOf(head, lifetime, inside, outside, gid, pid);
    assert.deepEqual(decodeFromMiddlebox(view(shuffled)), VECTOR_MESSAGES["V14"]);
    const short = withLength(octetsOf(head, pid, gid, lifetime, outside));
    const read = decodeFromMiddlebox(view(short));
    assert.ok(typeof read !== "string" && read.name === "PER_REPLY");
    assert.equal(read.inside, undefined);
  });

  it("has its tuples by their turn when where they lie does not tell", () => {
    const octets = octetsOf(
      hexOf(vector("V14")).replace("1102138c", "1100138c").replace("11011774", "11031774"),
    );
    const read = decodeFromMiddlebox(view(octets));
    assert.ok(typeof read !== "string" && read.name === "PER_REPLY");
    assert.equal(read.outside.port, 5004);
    assert.equal(read.inside?.port, 6004);
  });
});
