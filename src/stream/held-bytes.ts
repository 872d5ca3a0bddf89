/**
 * The bytes of one direction that are held: those the consumer has not let go, those the peer has not
 * acknowledged, and those that arrived before their turn.
 *
 * All lie at their place in one growing buffer, so that a byte is copied once, from the packet to where it
 * stays. (Growth and the reuse of space in front move what is held; both are rare enough to cost a constant
 * per byte.) Which of the bytes beyond the contiguous part are there is kept as a short sorted list of
 * ranges.
 */

/** Smallest buffer, in bytes: one full segment and some. */
const BUFFER_BYTES_MIN = 2048;

/** Buffers of the smallest size that are kept for the next stream. */
const SPARE_BUFFERS_MAX = 1024;

const NO_BYTES = new Uint8Array(0);
/** Shared by all that hold no ranges; never written to. */
const NO_RANGES: number[] = [];
const NO_VIEW = new DataView(NO_BYTES.buffer);

/**
 * Which copy of a byte is believed when two differ. RFC 9293 section 3.10.7.4 trims what was received before,
 * so the first; some systems take the last (Ptacek and Newsham, "Insertion, Evasion, and Denial of Service",
 * 1998).
 */
export type OverlapPolicy = "first" | "last";

/** Memory that all streams share; see {@link HeldBytes}. */
export interface StreamMemory {
  /** Bytes in use. */
  used: number;
  /** Bytes that may be used. */
  readonly max: number;
  /** Buffers of the smallest size that were given back: most streams need one for a moment only. */
  readonly spare: Uint8Array[];
}

/** Bytes held; see the head of this file. Positions are counted from the start of the stream. */
export class HeldBytes {
  #bytes: Uint8Array = NO_BYTES;
  /** The buffer, for reading. */
  view: DataView = NO_VIEW;
  /** Position of the first byte held, counted in bytes. */
  base = 0;
  /** Index of that byte in the buffer. */
  #start = 0;
  /** Position just past the last byte of the buffer that is in use. */
  #top = 0;
  /** Ranges beyond the contiguous part, sorted, none touching another. */
  #from: number[] = NO_RANGES;
  #to: number[] = NO_RANGES;
  /** Index of the first range; those before it were joined and wait to be cleared away together. */
  #head = 0;
  readonly #memory: StreamMemory;
  readonly #policy: OverlapPolicy;

  /**
   * @param memory - accounts for the buffer
   * @param policy - which copy of a byte stays
   */
  constructor(memory: StreamMemory, policy: OverlapPolicy) {
    this.#memory = memory;
    this.#policy = policy;
  }

  /** Index in {@link HeldBytes.view} of the byte at `position`. */
  indexOf(position: number): number {
    return this.#start + position - this.base;
  }

  /** Number of ranges that wait for what is before them. */
  get ranges(): number {
    return this.#from.length - this.#head;
  }

  /** Position of the first waiting range; infinite when none waits. */
  get firstWaiting(): number {
    return this.#from[this.#head] ?? Number.POSITIVE_INFINITY;
  }

  /** Position just past the last byte that waits, or 0. */
  get lastWaiting(): number {
    return this.ranges > 0 ? (this.#to[this.#to.length - 1] ?? 0) : 0;
  }

  /** True when no byte at all is held. */
  get isEmpty(): boolean {
    return this.#top <= this.base;
  }

  /**
   * Makes room up to `top`.
   *
   * @returns false when the shared memory does not allow it
   */
  reserve(top: number): boolean {
    const needed = top - this.base;
    if (this.#start + needed <= this.#bytes.length) return true;
    const held = Math.max(this.#top - this.base, 0);
    if (needed <= this.#bytes.length && this.#start >= held) {
      this.#bytes.copyWithin(0, this.#start, this.#start + held);
      this.#start = 0;
      return true;
    }
    const size = Math.max(BUFFER_BYTES_MIN, 2 ** Math.ceil(Math.log2(needed)));
    const more = size - this.#bytes.length;
    if (this.#memory.used + more > this.#memory.max) return false;
    this.#memory.used += more;
    const spare = size === BUFFER_BYTES_MIN ? this.#memory.spare.pop() : undefined;
    const grown = spare ?? new Uint8Array(size);
    grown.set(this.#bytes.subarray(this.#start, this.#start + held));
    this.#adopt(grown);
    return true;
  }

  #adopt(bytes: Uint8Array): void {
    this.#bytes = bytes;
    this.view = bytes.length === 0 ? NO_VIEW : new DataView(bytes.buffer);
    this.#start = 0;
  }

  /** Writes [from, to) from `bytes` at `at`. Room must have been made. */
  write(from: number, to: number, bytes: DataView, at: number): void {
    const source = new Uint8Array(bytes.buffer, bytes.byteOffset + at, to - from);
    this.#bytes.set(source, this.indexOf(from));
    if (to > this.#top) this.#top = to;
  }

  /** Position of the first byte in [from, to) that differs from `bytes` at `at`, or -1. All must be held. */
  firstDifference(from: number, to: number, bytes: DataView, at: number): number {
    const index = this.indexOf(from);
    for (let offset = 0; offset < to - from; offset += 1) {
      if (this.view.getUint8(index + offset) !== bytes.getUint8(at + offset)) return from + offset;
    }
    return -1;
  }

  /**
   * Enters bytes that arrived before their turn.
   *
   * @param from - position of the first
   * @param to - position just past the last
   * @param bytes - where they are
   * @param at - offset of the first
   * @returns position of the first byte that was there already with another content, or -1
   */
  insert(from: number, to: number, bytes: DataView, at: number): number {
    if (this.#from === NO_RANGES) {
      this.#from = [];
      this.#to = [];
    }
    const start = this.#firstRangeEndingAtOrAfter(from);
    let index = start;
    let conflict = -1;
    let position = from;
    let low = from;
    for (; index < this.#from.length && this.#rangeStart(index) <= to; index += 1) {
      const heldFrom = this.#rangeStart(index);
      const heldTo = this.#rangeEnd(index);
      if (position < heldFrom) this.write(position, heldFrom, bytes, at + position - from);
      const differs = this.#overlap(Math.max(from, heldFrom), Math.min(to, heldTo), bytes, at - from);
      if (conflict < 0) conflict = differs;
      low = Math.min(low, heldFrom);
      position = Math.max(position, heldTo);
    }
    if (position < to) this.write(position, to, bytes, at + position - from);
    this.#from.splice(start, index - start, low);
    this.#to.splice(start, index - start, Math.max(position, to));
    return conflict;
  }

  #rangeStart(index: number): number {
    return this.#from[index] ?? Number.POSITIVE_INFINITY;
  }

  #rangeEnd(index: number): number {
    return this.#to[index] ?? 0;
  }

  /**
   * Compares bytes that are held already with their copy, whose position 0 would lie at offset `origin`.
   *
   * @returns the first that differs, or -1
   */
  #overlap(from: number, to: number, bytes: DataView, origin: number): number {
    if (from >= to) return -1;
    const differs = this.firstDifference(from, to, bytes, origin + from);
    if (this.#policy === "last" && differs >= 0) this.write(from, to, bytes, origin + from);
    return differs;
  }

  #firstRangeEndingAtOrAfter(position: number): number {
    let low = this.#head;
    let high = this.#to.length;
    if (high === low || (this.#to[high - 1] ?? 0) < position) return high;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#to[middle] ?? 0) < position) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Takes the waiting ranges that `next` has reached off the list. Answers how far the bytes go on. */
  join(next: number): number {
    let reached = next;
    while (this.#head < this.#from.length && (this.#from[this.#head] ?? 0) <= reached) {
      reached = Math.max(reached, this.#to[this.#head] ?? 0);
      this.#head += 1;
    }
    // Clearing away half of the list at a time costs each range a constant.
    if (this.#head > 0 && 2 * this.#head >= this.#from.length) {
      this.#from.splice(0, this.#head);
      this.#to.splice(0, this.#head);
      this.#head = 0;
    }
    return reached;
  }

  /** Lets go of everything before `position`. */
  release(position: number): void {
    if (position <= this.base) return;
    if (position >= this.#top) {
      this.base = position;
      this.#top = position;
      this.#start = 0;
      return;
    }
    this.#start += position - this.base;
    this.base = position;
  }

  /** Gives the buffer back. */
  clear(): void {
    this.#memory.used -= this.#bytes.length;
    const { spare } = this.#memory;
    if (this.#bytes.length === BUFFER_BYTES_MIN && spare.length < SPARE_BUFFERS_MAX) spare.push(this.#bytes);
    this.#adopt(NO_BYTES);
    this.#from = NO_RANGES;
    this.#to = NO_RANGES;
    this.#head = 0;
    this.#top = this.base;
  }

  /** Gives the buffer back when nothing is held. */
  shrink(): void {
    if (this.isEmpty && this.#bytes.length > 0) this.clear();
  }
}
