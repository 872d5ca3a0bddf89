/**
 * Block sums: does the stream change its habits as it goes?
 *
 * A coder with contexts changes its code every few symbols. Over the whole stream the biases of its codes
 * cancel, and every histogram looks even; within short blocks they do not. So four quantities of each byte
 * are summed over blocks of 16 bytes, of 32, and so on up to 1,024: its ones, and the exclusive or of its
 * bits one, two and three places apart. On random bits the sums of each length vary as the tosses of a coin
 * do.
 */

/** Lengths of blocks: 16 bytes times the powers of 2 below 2 to this number. */
export const BLOCK_LEVELS = 7;
/** Quantities that are summed. */
export const BLOCK_QUANTITIES = 4;
const BLOCK_BYTES = 16;
const BYTE_BITS = 8;
const FIELD_BITS = 8;
const FIELD_MASK = 0xff;

// Bits or pairs of bits of one byte, by quantity.
const TERMS = [BYTE_BITS, BYTE_BITS - 1, BYTE_BITS - 2, BYTE_BITS - 3];

const bitsSet = (value: number): number => (value === 0 ? 0 : (value & 1) + bitsSet(value >> 1));

// The four quantities of a byte in one word. Sixteen bytes reach 128 at most, so no field runs over.
const FIELDS = new Uint32Array(256);
for (let value = 0; value < 256; value++) {
  let word = bitsSet(value);
  for (let distance = 1; distance < BLOCK_QUANTITIES; distance++) {
    const pairs = (value ^ (value >> distance)) & (0xff >> distance);
    word |= bitsSet(pairs) << (FIELD_BITS * distance);
  }
  FIELDS[value] = word;
}

const CELLS = BLOCK_LEVELS * BLOCK_QUANTITIES;

/** Sums over blocks of one stream. Holds about 400 bytes. */
export class BlockSums {
  // The first half of the block that is open at each level; every term counts as +1 or −1.
  readonly #halves = new Int32Array(CELLS);
  readonly #squares = new Float64Array(CELLS);
  readonly #totals = new Int32Array(BLOCK_QUANTITIES);
  #blocks = 0;
  #open = 0;
  #filled = 0;
  #high = 0;
  #low = 0;

  /** Forgets the stream. */
  clear(): void {
    this.#halves.fill(0);
    this.#squares.fill(0);
    this.#totals.fill(0);
    this.#blocks = 0;
    this.#open = 0;
    this.#filled = 0;
    this.#high = 0;
    this.#low = 0;
  }

  /**
   * Adds the next piece of the stream.
   *
   * @param bytes - holds the piece
   * @param from - offset of its first byte
   * @param to - offset just past its last byte
   */
  push(bytes: Uint8Array, from: number, to: number): void {
    let at = from;
    while (at < to && this.#filled > 0) this.#add(bytes[at++] ?? 0);
    for (; at + BLOCK_BYTES <= to; at += BLOCK_BYTES) {
      let fields = 0;
      for (let i = at; i < at + BLOCK_BYTES; i++) fields += FIELDS[bytes[i] ?? 0] ?? 0;
      this.#close(fields);
    }
    while (at < to) this.#add(bytes[at++] ?? 0);
  }

  #add(value: number): void {
    this.#open += FIELDS[value] ?? 0;
    if (++this.#filled < BLOCK_BYTES) return;
    this.#close(this.#open);
    this.#open = 0;
    this.#filled = 0;
  }

  #close(fields: number): void {
    const blocks = this.#blocks + 1;
    this.#blocks = blocks;
    const totals = this.#totals;
    for (let quantity = 0; quantity < BLOCK_QUANTITIES; quantity++) {
      const count = (fields >>> (FIELD_BITS * quantity)) & FIELD_MASK;
      const sum = 2 * count - BLOCK_BYTES * (BYTE_BITS - quantity);
      totals[quantity] = (totals[quantity] ?? 0) + sum;
      this.#carry(quantity, sum, blocks);
    }
    const ones = totals[0] ?? 0;
    if (ones > this.#high) this.#high = ones;
    if (ones < this.#low) this.#low = ones;
  }

  // Like adding 1 to a binary number: each second block of a level closes one of the next.
  #carry(quantity: number, first: number, blocks: number): void {
    const squares = this.#squares;
    const halves = this.#halves;
    let sum = first;
    for (let cell = quantity, rest = blocks; cell < CELLS; cell += BLOCK_QUANTITIES, rest >>= 1) {
      squares[cell] = (squares[cell] ?? 0) + sum * sum;
      if ((rest & 1) === 1) {
        halves[cell] = sum;
        return;
      }
      sum += halves[cell] ?? 0;
    }
  }

  /**
   * Writes, for each level and quantity, how many deviations the variance of the block sums lies above that
   * of random bits, then the whole sum of each quantity and the range of the walk of ones, in their
   * deviations.
   *
   * @param row - receives {@link BLOCK_FEATURES} numbers
   * @param at - offset of the first
   */
  fill(row: Float64Array, at: number): void {
    for (let cell = 0; cell < CELLS; cell++) {
      const level = Math.floor(cell / BLOCK_QUANTITIES);
      const blocks = this.#blocks >> level;
      const variance = (BLOCK_BYTES << level) * (TERMS[cell % BLOCK_QUANTITIES] ?? 1);
      row[at + cell] =
        blocks === 0 ? 0 : ((this.#squares[cell] ?? 0) / variance - blocks) / Math.sqrt(2 * blocks);
    }
    const bytes = Math.max(1, this.#blocks * BLOCK_BYTES);
    for (let quantity = 0; quantity < BLOCK_QUANTITIES; quantity++) {
      row[at + CELLS + quantity] = (this.#totals[quantity] ?? 0) / Math.sqrt(bytes * (TERMS[quantity] ?? 1));
    }
    row[at + CELLS + BLOCK_QUANTITIES] = (this.#high - this.#low) / Math.sqrt(bytes * BYTE_BITS);
  }
}

/** Numbers that {@link BlockSums.fill} writes. */
export const BLOCK_FEATURES: number = CELLS + BLOCK_QUANTITIES + 1;
