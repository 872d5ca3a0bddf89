import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { decodeKernelAnswer, errorNumber, type KernelAnswer } from "./error-message.ts";
import { MessageCursor } from "./message.ts";

// Answers of kernel 6.18, read from the socket.

/** Acknowledgement of a new rule in an nf_tables batch. */
const DONE = "240000000200000108000000116100000000000068000000060a050c0800000000000000";

/** ENOENT for a rule with an expression the kernel lacks, pointing at the attribute. */
const NO_SUCH_EXPRESSION =
  "2c000000020000030800000011610000feffffff60000000060a050c08000000000000000800020034000000";

/**
 * ERANGE for an interface name that is too long, in words, with the request's header only (NETLINK_CAP_ACK).
 */
const TOO_LONG =
  "68000000020000030900000011610000deffffff44000000100005000900000000000000270001004174747269627574" +
  "65206661696c656420706f6c6963792076616c69646174696f6e0000080002002000000014000480080007000f000000" +
  "080001000b000000";

/** The same, with the whole request quoted. */
const TOO_LONG_QUOTED =
  "9c000000020000020900000011610000deffffff4400000010000500090000000000000000000000000000000000000000000000" +
  "23000300617665727976657279766572796c6f6e67696e746572666163656e616d65000027000100417474726962757465206661" +
  "696c656420706f6c6963792076616c69646174696f6e0000080002002000000014000480080007000f000000080001000b000000";

function read(hex: string): { message: MessageCursor; view: DataView } {
  const bytes = Uint8Array.from(Buffer.from(hex, "hex"));
  const view = new DataView(bytes.buffer);
  const message = new MessageCursor();
  message.bind(view, 0, bytes.length);
  message.next();
  return { message, view };
}

function decode(hex: string): KernelAnswer | undefined {
  const { message, view } = read(hex);
  return decodeKernelAnswer(view, message);
}

describe("the kernel's answer", () => {
  it("may be an acknowledgement", () => {
    assert.deepEqual(decode(DONE), { errno: 0, sequence: 8, requestType: 0x0a06, text: "", offset: -1 });
  });

  it("names the error and the place", () => {
    assert.deepEqual(decode(NO_SUCH_EXPRESSION), {
      errno: 2,
      sequence: 8,
      requestType: 0x0a06,
      text: "",
      offset: 52,
    });
  });

  for (const [form, hex] of [
    ["capped", TOO_LONG],
    ["with its request", TOO_LONG_QUOTED],
  ] as const) {
    it(`carries the kernel's own words, ${form}`, () => {
      const answer = decode(hex);
      assert.equal(answer?.errno, 34);
      assert.equal(answer.text, "Attribute failed policy validation");
      assert.equal(answer.offset, 32);
    });
  }

  it("that is too short is no answer", () => {
    const { message, view } = read("1200000002000000080000001161000000000000");
    assert.equal(errorNumber(view, message), -1);
    assert.equal(decodeKernelAnswer(view, message), undefined);
  });

  it("made of any bytes is read without a fault of ours", () => {
    const header = fc.uint8Array({ minLength: 0, maxLength: 120 });
    fc.assert(
      fc.property(header, fc.nat(0xffff), (body, flags) => {
        const bytes = new Uint8Array(16 + body.length);
        const view = new DataView(bytes.buffer);
        view.setUint32(0, bytes.length, true);
        view.setUint16(4, 2, true);
        view.setUint16(6, flags, true);
        bytes.set(body, 16);
        const message = new MessageCursor();
        message.bind(view, 0, bytes.length);
        message.next();
        decodeKernelAnswer(view, message);
      }),
    );
  });
});
