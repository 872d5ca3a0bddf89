/**
 * Bit windows: how often each pattern of nine consecutive bits occurs, at every bit position of a stream.
 *
 * A Huffman coder writes symbols of unequal length, so its marks sit at any bit, not at byte borders, and a
 * byte histogram sees an eighth of them. Coders differ in which bit of a byte comes first (deflate, zstd,
 * brotli and Vorbis: the least significant; bzip2, JPEG, MP3 and FLAC: the most significant), so both orders
 * are counted.
 *
 * What is counted are windows of ten bits at every second bit position; each holds two windows of nine bits,
 * which are taken apart when a spectrum is asked for. That halves the work for each byte.
 *
 * The Walsh–Hadamard transform of the counts gives one number for each set of bits in the window: by how much
 * the exclusive or of these bits is more often 0 than 1. On random bits these numbers are uncorrelated, with
 * mean 0 and variance 1 after scaling, whatever the length. Sets that leave out the oldest bit repeat a set
 * that is shifted by one, so only sets with the oldest bit are kept: 256 of 512.
 */

const COUNTED_BITS = 10;
const COUNTED_PATTERNS = 1 << COUNTED_BITS;
const COUNTED_MASK = COUNTED_PATTERNS - 1;
/** Length of a window, in bits. */
export const WINDOW_BITS: number = COUNTED_BITS - 1;
const PATTERNS = 1 << WINDOW_BITS;
/** Number of independent coefficients of one bit order. */
export const SPECTRUM_SIZE: number = PATTERNS / 2;

/**
 * Counts the windows of one stream in both bit orders.
 *
 * Holds 4 KiB. Counts are exact up to 65,535 for a pattern; ciphertext of 64 KiB has about 256 of each.
 */
export class WindowCounter {
  /** Patterns in order of the least significant bit first; the oldest bit of a window is its lowest. */
  readonly lowFirst: Uint16Array = new Uint16Array(COUNTED_PATTERNS);
  /** Patterns in order of the most significant bit first; the oldest bit of a window is its highest. */
  readonly highFirst: Uint16Array = new Uint16Array(COUNTED_PATTERNS);
  #previous = 0;
  #bytes = 0;

  /** Forgets the stream. */
  clear(): void {
    this.lowFirst.fill(0);
    this.highFirst.fill(0);
    this.#previous = 0;
    this.#bytes = 0;
  }

  /** Number of nine-bit windows counted in each order. */
  get windows(): number {
    return 8 * Math.max(0, this.#bytes - 1);
  }

  /**
   * Counts the windows that end in these bytes.
   *
   * @param bytes - the next piece of the stream
   * @param from - offset of the first byte
   * @param to - offset just past the last byte
   */
  push(bytes: Uint8Array, from: number, to: number): void {
    if (to <= from) return;
    const { lowFirst, highFirst } = this;
    const first = this.#bytes === 0 ? from + 1 : from;
    let previous = this.#bytes === 0 ? (bytes[from] ?? 0) : this.#previous;
    for (let at = first; at < to; at++) {
      const value = bytes[at] ?? 0;
      const low = (value << 8) | previous;
      const high = (previous << 8) | value;
      lowFirst[low & COUNTED_MASK]!++;
      lowFirst[(low >>> 2) & COUNTED_MASK]!++;
      lowFirst[(low >>> 4) & COUNTED_MASK]!++;
      lowFirst[low >>> 6]!++;
      highFirst[high >>> 6]!++;
      highFirst[(high >>> 4) & COUNTED_MASK]!++;
      highFirst[(high >>> 2) & COUNTED_MASK]!++;
      highFirst[high & COUNTED_MASK]!++;
      previous = value;
    }
    this.#previous = previous;
    this.#bytes += to - from;
  }
}

const folded = new Float64Array(PATTERNS);

// Each counted window holds the one without its lowest bit and the one without its highest.
function fold(counts: Uint16Array): void {
  for (let i = 0; i < PATTERNS; i++) {
    folded[i] =
      (counts[i] ?? 0) + (counts[i + PATTERNS] ?? 0) + (counts[2 * i] ?? 0) + (counts[2 * i + 1] ?? 0);
  }
}

// The fast Walsh–Hadamard transform in place, two steps at a time; the length is a power of 4.
function transform(values: Float64Array): void {
  const size = values.length;
  for (let quarter = 1; quarter < size; quarter *= 4) {
    for (let start = 0; start < size; start += 4 * quarter) {
      for (let i = start; i < start + quarter; i++) {
        const a = values[i] ?? 0;
        const b = values[i + quarter] ?? 0;
        const c = values[i + 2 * quarter] ?? 0;
        const d = values[i + 3 * quarter] ?? 0;
        values[i] = a + b + c + d;
        values[i + quarter] = a - b + c - d;
        values[i + 2 * quarter] = a + b - c - d;
        values[i + 3 * quarter] = a - b - c + d;
      }
    }
  }
}

const scaleOf = (total: number): number => (total > 0 ? 1 / Math.sqrt(total) : 0);

/**
 * Coefficients of the counts in order of the least significant bit first. Coefficient `s` belongs to the
 * oldest bit together with the bits of `s`, where bit `j` of `s` stands for the bit that comes `j + 1` later.
 *
 * @param counter - the counts
 * @param spectrum - receives {@link SPECTRUM_SIZE} numbers
 */
export function lowFirstSpectrum(counter: WindowCounter, spectrum: Float64Array): void {
  fold(counter.lowFirst);
  const scale = scaleOf(counter.windows);
  for (let i = 0; i < SPECTRUM_SIZE; i++) {
    spectrum[i] = ((folded[2 * i] ?? 0) - (folded[2 * i + 1] ?? 0)) * scale;
  }
  transform(spectrum);
}

/**
 * Coefficients of the counts in order of the most significant bit first. Coefficient `s` belongs to the
 * oldest bit together with the bits of `s`, where the highest bit of `s` stands for the bit that comes next.
 *
 * @param counter - the counts
 * @param spectrum - receives {@link SPECTRUM_SIZE} numbers
 */
export function highFirstSpectrum(counter: WindowCounter, spectrum: Float64Array): void {
  fold(counter.highFirst);
  const scale = scaleOf(counter.windows);
  for (let i = 0; i < SPECTRUM_SIZE; i++) {
    spectrum[i] = ((folded[i] ?? 0) - (folded[i + SPECTRUM_SIZE] ?? 0)) * scale;
  }
  transform(spectrum);
}

/**
 * Coefficients of the byte histogram, on the same scale; coefficient 0 is always 0.
 *
 * @param counts - 256 bins
 * @param total - sum of all bins
 * @param spectrum - receives {@link SPECTRUM_SIZE} numbers
 */
export function byteSpectrum(counts: Uint32Array, total: number, spectrum: Float64Array): void {
  const scale = scaleOf(total);
  for (let i = 0; i < SPECTRUM_SIZE; i++) spectrum[i] = (counts[i] ?? 0) * scale;
  transform(spectrum);
  spectrum[0] = 0;
}
