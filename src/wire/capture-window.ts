/**
 * A view of a stream that arrives in chunks, as contiguous bytes, with few copies.
 *
 * A reader asks for the next `count` bytes with {@link CaptureWindow.require}. Where they lie within one
 * chunk, they are read in place. Where they straddle chunks, exactly those bytes are gathered in a buffer of
 * the window's own, so at most one record is copied per chunk. That buffer grows with the bytes that came,
 * not with the count that a file claims.
 */
import { invariant } from "../base/index.ts";
import { NO_BYTES } from "./empty.ts";

const NO_CHUNK = new Uint8Array(0);
const CARRY_BYTES_MIN = 4096;

/** See above. After `require` answered true, `bytes` and `at` locate what was asked for. */
export class CaptureWindow {
  #chunk: Uint8Array = NO_CHUNK;
  #chunkBytes: DataView = NO_BYTES;
  #chunkAt = 0;
  #carry: Uint8Array = NO_CHUNK;
  #carryBytes: DataView = NO_BYTES;
  #carryAt = 0;
  #carryEnd = 0;
  #skip = 0;
  #skipOffset = 0;

  /** Buffer that holds the bytes asked for. */
  bytes: DataView = NO_BYTES;
  /** Where they start in it. */
  at = 0;
  /** Where they start in the stream, in bytes. */
  offset = 0;

  /**
   * True when every byte pushed has been taken or gathered, so that the chunk may be used for something else.
   */
  get isDrained(): boolean {
    return this.#chunkAt === this.#chunk.length;
  }

  /** True when the stream may end here: nothing is gathered, nothing is still to be skipped. */
  get isBetween(): boolean {
    return this.#carryEnd === this.#carryAt && this.#skip === 0;
  }

  /** Where in the stream what is being read, or passed over, starts, in bytes. */
  get itemOffset(): number {
    return this.#skip > 0 ? this.#skipOffset : this.offset;
  }

  /**
   * Gives the window the stream's next bytes.
   *
   * @param chunk - read in place; must stay as it is until the window is drained
   */
  push(chunk: Uint8Array): void {
    invariant(this.isDrained, "a capture reader was given more before next() had answered undefined");
    this.#chunk = chunk;
    this.#chunkBytes = new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    this.#chunkAt = 0;
  }

  /**
   * Makes the next `count` bytes contiguous; may be asked again with a larger count.
   *
   * @returns false when they have not all come; then the chunk is drained
   */
  require(count: number): boolean {
    if (!this.#settleSkip()) return false;
    if (this.#carryEnd === this.#carryAt) {
      this.#carryAt = 0;
      this.#carryEnd = 0;
      if (this.#chunk.length - this.#chunkAt >= count) {
        this.bytes = this.#chunkBytes;
        this.at = this.#chunkAt;
        return true;
      }
    }
    const missing = count - (this.#carryEnd - this.#carryAt);
    if (missing > 0) this.#gather(Math.min(missing, this.#chunk.length - this.#chunkAt));
    this.bytes = this.#carryBytes;
    this.at = this.#carryAt;
    return this.#carryEnd - this.#carryAt >= count;
  }

  /** Passes over `count` bytes, whether they have come or not. */
  skip(count: number): void {
    this.#skipOffset = this.offset;
    this.offset += count;
    const carried = Math.min(count, this.#carryEnd - this.#carryAt);
    this.#carryAt += carried;
    this.#skip += count - carried;
    this.#settleSkip();
  }

  #settleSkip(): boolean {
    if (this.#skip === 0) return true;
    const taken = Math.min(this.#skip, this.#chunk.length - this.#chunkAt);
    this.#chunkAt += taken;
    this.#skip -= taken;
    return this.#skip === 0;
  }

  #gather(count: number): void {
    const end = this.#carryEnd + count;
    if (end > this.#carry.length) this.#grow(end);
    this.#carry.set(this.#chunk.subarray(this.#chunkAt, this.#chunkAt + count), this.#carryEnd);
    this.#carryEnd = end;
    this.#chunkAt += count;
  }

  #grow(bytes: number): void {
    const grown = new Uint8Array(Math.max(CARRY_BYTES_MIN, bytes, 2 * this.#carry.length));
    grown.set(this.#carry.subarray(0, this.#carryEnd));
    this.#carry = grown;
    this.#carryBytes = new DataView(grown.buffer);
  }
}
