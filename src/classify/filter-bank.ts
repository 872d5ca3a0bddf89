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

/** What a filter is applied to. */
const SOURCE = { LOW_FIRST: 0, HIGH_FIRST: 1, BYTE: 2 } as const;
const SOURCES = Object.keys(SOURCE).length;

/** One filter. */
export interface Filter {
  /** A value of {@link SOURCE}: which spectrum. */
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

/** The three spectra of a stream, by {@link SOURCE}. */
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
    const square = value * value;
    squares[i] = (square < SQUARE_MAX ? square : SQUARE_MAX) - 1;
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
    for (let i = 0; i < this.#filters.length; i += 2) {
      const first = this.#filters[i] as Filter;
      const second = this.#filters[i + 1] ?? first;
      const a = first.weights;
      const b = second.weights;
      const x = inputOf(spectra, first);
      const y = inputOf(spectra, second);
      // Two filters at a time, two sums each: the additions of one sum do not wait for each other.
      let a0 = 0;
      let a1 = 0;
      let b0 = 0;
      let b1 = 0;
      for (let k = 0; k < SPECTRUM_SIZE; k += 2) {
        a0 += (a[k] ?? 0) * (x[k] ?? 0);
        b0 += (b[k] ?? 0) * (y[k] ?? 0);
        a1 += (a[k + 1] ?? 0) * (x[k + 1] ?? 0);
        b1 += (b[k + 1] ?? 0) * (y[k + 1] ?? 0);
      }
      target[place++] = a0 + a1;
      target[place++] = b0 + b1;
    }
  }
}

function inputOf(spectra: Spectra, filter: Filter): Float64Array {
  const spectrum = spectra[filter.source] as Spectrum;
  return filter.square ? spectrum.squares : spectrum.values;
}
