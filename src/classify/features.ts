/** What the learned classifier looks at: everything a stream has shown so far, as one row of numbers. */

import { BLOCK_FEATURES, BLOCK_LEVELS, BLOCK_QUANTITIES, BlockSums } from "./blocks.ts";
import { createSpectra, type FilterBank, fillSquares, type Spectra, type Spectrum } from "./filter-bank.ts";
import { BYTE_VALUES, chiSquare, countBytes, entropyOfCounts } from "./histogram.ts";
import { StructureScanner } from "./structure.ts";
import {
  byteSpectrum,
  highFirstSpectrum,
  lowFirstSpectrum,
  SPECTRUM_SIZE,
  WindowCounter,
} from "./windows.ts";

const HEAD_NAMES: readonly string[] = [
  "log2Bytes",
  "entropy",
  "chiSquare",
  "binMax",
  "binMin",
  "low4",
  "low6",
  "low8",
  "low9",
  "lowMax",
  "high4",
  "high6",
  "high8",
  "high9",
  "highMax",
  "stuffed",
  "unstuffed",
  "mpegHeaders",
  "mpegChain",
  "nalHeaders",
  "nalChain",
  "xzHeaders",
  "sevenZipHeaders",
  "lzma2Chain",
  "zstdBlocks",
  "flacHeaders",
  "marks",
];

const QUANTITY_NAMES: readonly string[] = ["ones", "pairs1", "pairs2", "pairs3"];

function blockNames(): string[] {
  const names: string[] = [];
  for (let level = 0; level < BLOCK_LEVELS; level++) {
    for (let quantity = 0; quantity < BLOCK_QUANTITIES; quantity++) {
      names.push(`${QUANTITY_NAMES[quantity]}In${16 << level}`);
    }
  }
  return [...names, ...QUANTITY_NAMES, "walkRange"];
}

/** Names of the features that come before the filters' outputs, in order. */
export const FEATURE_NAMES: readonly string[] = [...HEAD_NAMES, ...blockNames()];

/** Statistics of one stream, from its first byte to the last one pushed. Holds about 7 KiB. */
export class StreamStatistics {
  /** Byte histogram. */
  readonly counts: Uint32Array = new Uint32Array(BYTE_VALUES);
  /** Bit windows. */
  readonly windows: WindowCounter = new WindowCounter();
  /** Sums over blocks. */
  readonly blocks: BlockSums = new BlockSums();
  /** Marks of formats. */
  readonly structure: StructureScanner = new StructureScanner();
  /** Bytes seen. */
  bytes = 0;

  /** Forgets the stream. */
  clear(): void {
    this.counts.fill(0);
    this.windows.clear();
    this.blocks.clear();
    this.structure.clear();
    this.bytes = 0;
  }

  /**
   * Adds the next piece of the stream.
   *
   * @param bytes - holds the piece
   * @param from - offset of its first byte
   * @param to - offset just past its last byte
   */
  push(bytes: Uint8Array, from = 0, to: number = bytes.length): void {
    countBytes(this.counts, bytes, from, to);
    this.windows.push(bytes, from, to);
    this.blocks.push(bytes, from, to);
    this.structure.push(bytes, from, to);
    this.bytes += to - from;
  }

  /** Shannon entropy, in bits per byte. */
  get entropy(): number {
    return entropyOfCounts(this.counts, this.bytes);
  }
}

const spectra: Spectra = createSpectra();

/** Computes the spectra of a stream into shared buffers and returns these: valid until the next call. */
export function spectraOf(statistics: StreamStatistics): Spectra {
  const [low, high, byte] = spectra;
  lowFirstSpectrum(statistics.windows, low.values);
  highFirstSpectrum(statistics.windows, high.values);
  byteSpectrum(statistics.counts, statistics.bytes, byte.values);
  fillSquares(low);
  fillSquares(high);
  fillSquares(byte);
  return spectra;
}

// Windows of 4, 6, 8 and 9 bits are the first 8, 32, 128 and 256 sets of the low-first spectrum.
const ENERGY_ENDS = [8, 32, 128, SPECTRUM_SIZE] as const;

// Squares over ever longer windows, in deviations from their mean on ciphertext, then the greatest square.
function fillEnergies(spectrum: Spectrum, stepFirst: boolean, row: Float64Array, at: number): void {
  const { squares } = spectrum;
  for (let k = 0; k < ENERGY_ENDS.length; k++) {
    const count = ENERGY_ENDS[k] ?? SPECTRUM_SIZE;
    row[at + k] = sumOf(squares, count, stepFirst ? SPECTRUM_SIZE / count : 1) / Math.sqrt(2 * count);
  }
  row[at + ENERGY_ENDS.length] = greatestOf(squares);
}

function sumOf(values: Float64Array, count: number, step: number): number {
  let even = 0;
  let odd = 0;
  for (let i = 0; i < count * step; i += 2 * step) {
    even += values[i] ?? 0;
    odd += values[i + step] ?? 0;
  }
  return even + odd;
}

function greatestOf(values: Float64Array): number {
  let even = -1;
  let odd = -1;
  for (let i = 0; i < values.length; i += 2) {
    even = Math.max(even, values[i] ?? 0);
    odd = Math.max(odd, values[i + 1] ?? 0);
  }
  return Math.max(even, odd);
}

/**
 * Fills one row of features.
 *
 * @param statistics - of a stream
 * @param bank - filters whose outputs follow the named features
 * @param row - receives the features, {@link FEATURE_NAMES} first
 */
export function fillFeatures(statistics: StreamStatistics, bank: FilterBank, row: Float64Array): void {
  const [low, high] = spectraOf(statistics);
  fillHistogramFeatures(statistics, row);
  fillEnergies(low, false, row, 5);
  fillEnergies(high, true, row, 10);
  fillStructureFeatures(statistics.structure, row, 15);
  statistics.blocks.fill(row, FEATURE_NAMES.length - BLOCK_FEATURES);
  bank.apply(spectra, row, FEATURE_NAMES.length);
}

function fillHistogramFeatures(statistics: StreamStatistics, row: Float64Array): void {
  const { bytes, counts } = statistics;
  const degrees = BYTE_VALUES - 1;
  const mean = bytes / BYTE_VALUES;
  let most = 0;
  let least = bytes;
  for (let value = 0; value < BYTE_VALUES; value++) {
    const count = counts[value] ?? 0;
    if (count > most) most = count;
    if (count < least) least = count;
  }
  const deviation = Math.sqrt(mean) || 1;
  row[0] = Math.log2(bytes + 1);
  row[1] = statistics.entropy;
  row[2] = (chiSquare(counts, bytes) - degrees) / Math.sqrt(2 * degrees);
  row[3] = (most - mean) / deviation;
  row[4] = (least - mean) / deviation;
}

function fillStructureFeatures(structure: StructureScanner, row: Float64Array, at: number): void {
  row[at] = structure.stuffed;
  row[at + 1] = structure.unstuffed;
  row[at + 2] = structure.mpeg.headers;
  row[at + 3] = structure.mpeg.longest;
  row[at + 4] = structure.nal.headers;
  row[at + 5] = structure.nal.longest;
  row[at + 6] = structure.xz.headers;
  row[at + 7] = structure.sevenZip.headers;
  row[at + 8] = structure.xz.longest + structure.sevenZip.longest;
  row[at + 9] = structure.zstd.headers;
  row[at + 10] = structure.flacHeaders;
  row[at + 11] = structure.marks;
}
