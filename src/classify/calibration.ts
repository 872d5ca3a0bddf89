/**
 * From scores to probabilities and thresholds, by what was measured on the calibration split.
 *
 * The trees give a score. How much a score means depends on the number of bytes seen, so there is one curve
 * for each of a few sizes; between two sizes the answer is interpolated on a logarithmic scale. A curve is
 * monotone (pool-adjacent-violators) and capped: as long as some formats look like ciphertext, no score is
 * certain.
 *
 * A threshold keeps a budget of false alarms: of all flows that are not encrypted, at most that share may
 * ever be called encrypted, however often the question is asked while the flow grows.
 */

/** Curve and threshold at one size. */
export interface SizeCalibration {
  /** Size of the stream, in bytes. */
  bytes: number;
  /** Scores, ascending. */
  scores: Float64Array;
  /** Logarithm of the odds of "encrypted" at each of these scores, ascending. */
  logits: Float64Array;
  /** Score that one in a hundred flows that are not encrypted exceeds at this size. */
  base: number;
}

/** A false-positive budget and what it adds to every base. */
export interface BudgetShift {
  /** Share of flows that are not encrypted and may be called encrypted, above 0. */
  budget: number;
  /** Added to {@link SizeCalibration.base}. */
  shift: number;
}

// Both lists ascend and have the same length, at least 1.
function interpolate(x: number, xs: Float64Array, ys: Float64Array): number {
  const above = xs.findIndex((value) => value >= x);
  if (above === -1) return ys.at(-1) ?? 0;
  const y = ys[above] ?? 0;
  if (above === 0) return y;
  const left = xs[above - 1] ?? 0;
  const right = xs[above] ?? 0;
  const before = ys[above - 1] ?? 0;
  return before + ((y - before) * (x - left)) / (right - left);
}

/** Calibration of a model. */
export class Calibration {
  readonly #sizes: readonly SizeCalibration[];
  readonly #budgets: readonly BudgetShift[];

  /**
   * @param sizes - ascending, at least one
   * @param budgets - ascending budgets, at least one
   */
  constructor(sizes: readonly SizeCalibration[], budgets: readonly BudgetShift[]) {
    if (sizes.length === 0 || budgets.length === 0)
      throw new RangeError("calibration without sizes or budgets");
    this.#sizes = sizes;
    this.#budgets = budgets;
  }

  /**
   * Logarithm of the odds that a stream is encrypted, when both answers are equally likely beforehand.
   *
   * @param score - from the trees
   * @param bytes - size of the stream
   */
  logit(score: number, bytes: number): number {
    return this.#between(bytes, (size) => interpolate(score, size.scores, size.logits));
  }

  /**
   * Least score that keeps a budget of false alarms.
   *
   * @param budget - share of flows that are not encrypted and may be called encrypted; a budget below the
   *   least measured one is taken as that one, see {@link Calibration.leastBudget}
   * @param bytes - size of the stream
   */
  threshold(budget: number, bytes: number): number {
    const shift = this.#shift(budget);
    return this.#between(bytes, (size) => size.base) + shift;
  }

  /** Least budget that the calibration split is large enough for. */
  get leastBudget(): number {
    return this.#budgets[0]?.budget ?? 1;
  }

  // The greatest measured budget that does not exceed the wanted one.
  #shift(budget: number): number {
    let found = this.#budgets[0]?.shift ?? 0;
    for (const entry of this.#budgets) if (entry.budget <= budget) found = entry.shift;
    return found;
  }

  #between(bytes: number, valueAt: (size: SizeCalibration) => number): number {
    const upper = this.#sizes.findIndex((size) => size.bytes >= bytes);
    const high = this.#sizes[upper === -1 ? this.#sizes.length - 1 : upper] as SizeCalibration;
    if (upper <= 0) return valueAt(high);
    const low = this.#sizes[upper - 1] as SizeCalibration;
    const share = Math.log(bytes / low.bytes) / Math.log(high.bytes / low.bytes);
    return valueAt(low) * (1 - share) + valueAt(high) * share;
  }
}
