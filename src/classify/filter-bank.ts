/**
 * Filters: in which direction does a spectrum deviate from that of random bits?
 *
 * For small deviations the logarithm of the likelihood ratio between "a format" and "random" is a weighted
 * sum of the coefficients (where the format's mean is not 0) and of their squares (where its variance is not
 * 1, because every block has its own code table). Matched filters have these measured means and excess
 * variances as weights; others are the main directions in which packed streams vary. All are scaled so that
 * on ciphertext each output has mean 0 and variance about 1, at every length.
 */

import { SPECTRUM_SIZE } from "./windows.ts";

/** Squares are cut off here, so that one wild coefficient cannot speak for all. */
export const SQUARE_MAX = 25;

const SOURCES = 3;

/** One filter. */
export interface Filter {
  /** Which spectrum: 0 low bit first, 1 high bit first, 2 bytes. */
  source: number;
  /** Weighs the squares of the coefficients instead of the coefficients. */
  square: boolean;
  /** A weight for each coefficient. */
  weights: Float64Array;
}

/** One spectrum with its squares. */
export interface Spectrum {
  /** Coefficients. */
  values: Float64Array;
  /** Their squares minus 1, cut off at {@link SQUARE_MAX}. */
  squares: Float64Array;
}

/** The three spectra of a stream: low bit first, high bit first, bytes. */
export type Spectra = readonly [Spectrum, Spectrum, Spectrum];

/** Empty spectra, to be filled again and again. */
export function createSpectra(): Spectra {
  const make = (): Spectrum => ({
    values: new Float64Array(SPECTRUM_SIZE),
    squares: new Float64Array(SPECTRUM_SIZE),
  });
  return [make(), make(), make()];
}

/** Computes the squares of a spectrum whose coefficients are set. */
export function fillSquares(spectrum: Spectrum): void {
  const { values, squares } = spectrum;
  for (let i = 0; i < SPECTRUM_SIZE; i++) {
    const value = values[i] ?? 0;
    squares[i] = Math.min(value * value, SQUARE_MAX) - 1;
  }
}

/** All filters of a model. */
export class FilterBank {
  readonly #filters: readonly Filter[];

  /**
   * @param filters - in the order of their outputs
   * @throws {RangeError} when a filter has the wrong number of weights or names no spectrum
   */
  constructor(filters: readonly Filter[]) {
    for (const { source, weights } of filters) {
      if (weights.length === SPECTRUM_SIZE && source >= 0 && source < SOURCES) continue;
      throw new RangeError(`filter with ${weights.length} weights for spectrum ${source}`);
    }
    this.#filters = filters;
  }

  /** Number of outputs, one for each filter. */
  get outputs(): number {
    return this.#filters.length;
  }

  /**
   * Applies every filter.
   *
   * @param spectra - of one stream, squares filled
   * @param target - receives {@link FilterBank.outputs} numbers
   * @param at - offset of the first number in `target`
   */
  apply(spectra: Spectra, target: Float64Array, at: number): void {
    let place = at;
    for (const { source, square, weights } of this.#filters) {
      const spectrum = spectra[source] as Spectrum;
      target[place++] = product(weights, square ? spectrum.squares : spectrum.values);
    }
  }
}

// Four sums, because the additions of one would wait for each other. Two filters at a time took twice as
// long.
function product(weights: Float64Array, values: Float64Array): number {
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  for (let i = 0; i < SPECTRUM_SIZE; i += 4) {
    a += (weights[i] ?? 0) * (values[i] ?? 0);
    b += (weights[i + 1] ?? 0) * (values[i + 1] ?? 0);
    c += (weights[i + 2] ?? 0) * (values[i + 2] ?? 0);
    d += (weights[i + 3] ?? 0) * (values[i + 3] ?? 0);
  }
  return a + b + c + d;
}
