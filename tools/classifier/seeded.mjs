// Numbers that are the same on every machine: a stream cipher's key stream, read as integers.
import { createCipheriv, createHash } from "node:crypto";

const BLOCK_BYTES = 1 << 16;

/** A deterministic source of bytes and integers, named by a text. */
export class Seeded {
  #cipher;
  #block = Buffer.alloc(0);
  #at = 0;

  /** @param name - any text; equal texts give equal sequences */
  constructor(name) {
    const key = createHash("sha256").update(`postern classifier ${name}`).digest();
    this.#cipher = createCipheriv("aes-256-ctr", key, Buffer.alloc(16));
  }

  /** @returns the next `count` bytes, a copy */
  bytes(count) {
    return this.#cipher.update(Buffer.alloc(count));
  }

  /** @returns an unsigned 32-bit integer */
  uint32() {
    if (this.#at + 4 > this.#block.length) {
      this.#block = this.#cipher.update(Buffer.alloc(BLOCK_BYTES));
      this.#at = 0;
    }
    this.#at += 4;
    return this.#block.readUInt32LE(this.#at - 4);
  }

  /** @returns an integer from 0 to `limit` - 1 */
  below(limit) {
    return Math.floor((this.uint32() / 2 ** 32) * limit);
  }

  /** @returns a number from 0 (included) to 1 (excluded) */
  unit() {
    return this.uint32() / 2 ** 32;
  }

  /** @returns a number from the standard normal distribution (Box and Muller) */
  normal() {
    const radius = Math.sqrt(-2 * Math.log(1 - this.unit()));
    return radius * Math.cos(2 * Math.PI * this.unit());
  }

  /** @returns one element of the list */
  pick(list) {
    return list[this.below(list.length)];
  }

  /** Puts the list into a random order, in place, and returns it. */
  shuffle(list) {
    for (let i = list.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      [list[i], list[j]] = [list[j], list[i]];
    }
    return list;
  }
}

/** @returns a number from 0 (included) to 1 (excluded) that depends on the text alone */
export function fractionOf(text) {
  return createHash("sha256").update(text).digest().readUInt32BE(0) / 2 ** 32;
}

/** @returns the SHA-256 of the bytes in hexadecimal digits */
export function sha256(bytes) {
  return createHash("sha256").update(bytes).digest("hex");
}
