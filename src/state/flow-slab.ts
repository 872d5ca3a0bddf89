/**
 * The memory of the flows: fixed rows in chunks of typed arrays, handed out by slot number.
 *
 * Chunks are added one at a time as the table grows and never given back, so growth touches one chunk and
 * moves nothing. A freed row goes to a list of free rows and is the next to be used; its generation goes up,
 * so that an id names one flow and not its successor in the same row.
 */
import { invariant } from "../base/index.ts";
import { HALF, ROW, ROW_BYTES, WORD } from "./flow-row.ts";

const CHUNK_BITS = 12;

/** Rows added to the slab at a time. */
export const CHUNK_ROWS = 1 << CHUNK_BITS;

const ROW_MASK = CHUNK_ROWS - 1;

/** Slots a slab can number: the 24 bits that an index entry and an id have for them. */
export const SLOTS_MAX = 1 << 24;

/** Generations that fit an id beside the slot and leave it a safe integer (53 bits). */
const GENERATIONS = 1 << 29;

/** Value of a slot that is none. */
export const NO_SLOT = -1;

/**
 * Memory of a chunk. It is shared memory, though nobody shares it: the engine counts the bytes of an
 * ArrayBuffer as pressure on its heap, so that a growing table would set off collections of several
 * milliseconds (measured: eight for 245 chunks, none this way).
 */
export function makeMemory(bytes: number): SharedArrayBuffer {
  return new SharedArrayBuffer(bytes);
}

/** Words, doubles, halves and bytes of the same rows. */
class Chunk {
  readonly words: Int32Array;
  readonly doubles: Float64Array;
  readonly halves: Uint16Array;
  readonly bytes: Uint8Array;

  constructor() {
    const memory = makeMemory(CHUNK_ROWS * ROW_BYTES);
    this.words = new Int32Array(memory);
    this.doubles = new Float64Array(memory);
    this.halves = new Uint16Array(memory);
    this.bytes = new Uint8Array(memory);
  }
}

/** Position of a slot's row in its chunk's words. */
export function wordsAt(slot: number): number {
  return (slot & ROW_MASK) * ROW.WORDS;
}

/** Position of a slot's row in its chunk's doubles. */
export function doublesAt(slot: number): number {
  return (slot & ROW_MASK) * ROW.DOUBLES;
}

/** Rows of flows, by slot. Slots given to the accessors must have been allocated. */
export class FlowSlab {
  readonly #chunks: Chunk[] = [];
  /** First slot that was never handed out. */
  #fresh = 0;
  /** First row of the free list, linked through WHEEL_NEXT. */
  #free = NO_SLOT;
  #size = 0;

  /** Rows in use. */
  get size(): number {
    return this.#size;
  }

  /** Slots that were ever in use: every live slot is below. */
  get reach(): number {
    return this.#fresh;
  }

  /** Memory held, in bytes. */
  get bytes(): number {
    return this.#chunks.length * CHUNK_ROWS * ROW_BYTES;
  }

  /** Takes a row, all zero but for its generation. Adds a chunk when none is free. */
  allocate(): number {
    this.#size += 1;
    const slot = this.#free;
    if (slot !== NO_SLOT) {
      this.#free = this.word(slot, WORD.WHEEL_NEXT);
      this.#clear(slot);
      return slot;
    }
    invariant(this.#fresh < SLOTS_MAX, "the slab has no more slot numbers");
    if (this.#fresh === this.#chunks.length << CHUNK_BITS) this.#chunks.push(new Chunk());
    this.#fresh += 1;
    this.setWord(this.#fresh - 1, WORD.GENERATION, 1);
    return this.#fresh - 1;
  }

  /** Gives a row back. */
  free(slot: number): void {
    this.#size -= 1;
    this.setHalf(slot, HALF.KIND, 0);
    this.setWord(slot, WORD.WHEEL_NEXT, this.#free);
    this.#free = slot;
  }

  /** True when the slot holds a flow. Takes any number. */
  isLive(slot: number): boolean {
    return slot >= 0 && slot < this.#fresh && this.half(slot, HALF.KIND) !== 0;
  }

  /**
   * Id of the flow in a slot: a safe integer that no other flow has had for the last 2^29 uses of the slot.
   */
  id(slot: number): number {
    return this.word(slot, WORD.GENERATION) * SLOTS_MAX + slot;
  }

  /** Slot of the flow with this id, {@link NO_SLOT} when it is gone. */
  slotOf(id: number): number {
    const slot = id % SLOTS_MAX;
    return this.isLive(slot) && this.id(slot) === id ? slot : NO_SLOT;
  }

  /** The words of the chunk that holds a slot; the row begins at {@link wordsAt}. */
  words(slot: number): Int32Array {
    return this.#chunk(slot).words;
  }

  /** The doubles of the chunk that holds a slot; the row begins at {@link doublesAt}. */
  doubles(slot: number): Float64Array {
    return this.#chunk(slot).doubles;
  }

  word(slot: number, field: number): number {
    return this.#chunk(slot).words[(slot & ROW_MASK) * ROW.WORDS + field] as number;
  }

  setWord(slot: number, field: number, value: number): void {
    this.#chunk(slot).words[(slot & ROW_MASK) * ROW.WORDS + field] = value;
  }

  double(slot: number, field: number): number {
    return this.#chunk(slot).doubles[(slot & ROW_MASK) * ROW.DOUBLES + field] as number;
  }

  setDouble(slot: number, field: number, value: number): void {
    this.#chunk(slot).doubles[(slot & ROW_MASK) * ROW.DOUBLES + field] = value;
  }

  half(slot: number, field: number): number {
    return this.#chunk(slot).halves[(slot & ROW_MASK) * ROW.HALVES + field] as number;
  }

  setHalf(slot: number, field: number, value: number): void {
    this.#chunk(slot).halves[(slot & ROW_MASK) * ROW.HALVES + field] = value;
  }

  byte(slot: number, field: number): number {
    return this.#chunk(slot).bytes[(slot & ROW_MASK) * ROW.BYTES + field] as number;
  }

  setByte(slot: number, field: number, value: number): void {
    this.#chunk(slot).bytes[(slot & ROW_MASK) * ROW.BYTES + field] = value;
  }

  #chunk(slot: number): Chunk {
    return this.#chunks[slot >>> CHUNK_BITS] as Chunk;
  }

  #clear(slot: number): void {
    const generation = (this.word(slot, WORD.GENERATION) + 1) % GENERATIONS;
    const at = wordsAt(slot);
    this.words(slot).fill(0, at, at + ROW.WORDS);
    this.setWord(slot, WORD.GENERATION, generation);
  }
}
