/**
 * The learned classifier: is a stream encrypted, compressed or plain, as far as it has been seen?
 *
 * It may be asked at any time and gets surer as bytes arrive. What it keeps is a fixed number of counters
 * (about 6 KiB a stream), never the bytes. The way of an answer: counters → spectra → filters → one row of
 * features → boosted trees → a score → what is known from the stream's first bytes → calibrated probability →
 * verdict.
 *
 * Record headers that a protocol leaves in the clear (TLS, SSH, OpenVPN) were part of the training and do not
 * disturb; still, a caller that knows the records does better to push payload only.
 */

import { type Signature, SIGNATURE_REACH_BYTES, findSignature } from "./signatures.ts";
import { defaultModel } from "./default-model.ts";
import { FEATURE_NAMES, fillFeatures, StreamStatistics } from "./features.ts";
import type { ClassifierModel } from "./model.ts";

/** What a stream is; `undecided` when neither side is likely enough. */
export type StreamVerdict = "encrypted" | "compressed" | "plain" | "undecided";

/** Bytes that are looked at; what comes after them changes nothing. The largest size of the training. */
export const CLASSIFY_BYTES_MAX = 65_536;
/** Bytes below which no stream is called encrypted or compressed: the smallest size of the training. */
export const CLASSIFY_BYTES_MIN = 256;
/** Share of flows that are not encrypted and may be called encrypted, when a caller names no other. */
export const FALSE_POSITIVE_BUDGET = 0.001;
/** Least probability of a verdict that is not bound to a budget. */
export const CONFIDENCE_MIN = 0.6;

// Text shorter than the training's smallest size is known by this: nothing but printable ASCII.
const TEXT_BYTES_MIN = 16;
// A signature is weighed like this, in logarithms of odds.
const SIGNATURE_WEIGHT = 6;
const RANDOM_SIGNATURE_WEIGHT = 10;
// From this size on, a stream that looks like ciphertext is not what its signature says.
const CONTRADICTION_BYTES = 32_768;

/** Settings of a {@link StreamClassifier}. */
export interface ClassifierOptions {
  /**
   * The first byte pushed is the first of the stream, so that it may carry a file signature. Default: false.
   */
  fromStart?: boolean;
  /** A model other than the one that ships. */
  model?: ClassifierModel;
}

const isPrintable = (value: number): boolean =>
  (value >= 0x20 && value < 0x7f) || (value >= 9 && value <= 13);

/**
 * What a signature does to a score.
 *
 * @param score - of the trees
 * @param bytes - size of the stream
 * @param signature - found at its beginning
 */
export function weighSignature(score: number, bytes: number, signature: Signature | undefined): number {
  if (signature === undefined) return score;
  if (signature.looksRandom) return score - RANDOM_SIGNATURE_WEIGHT;
  return bytes >= CONTRADICTION_BYTES && score > 0 ? score : score - SIGNATURE_WEIGHT;
}

/**
 * Judges one stream.
 *
 * @example
 * ```ts
 * const classifier = new StreamClassifier({ fromStart: true });
 * classifier.push(segment);
 * if (classifier.verdict(0.001) === "encrypted") drop();
 * ```
 */
export class StreamClassifier {
  readonly #statistics = new StreamStatistics();
  readonly #model: ClassifierModel;
  readonly #beginning = new Uint8Array(SIGNATURE_REACH_BYTES);
  #fromStart: boolean;
  #judgedBytes = -1;
  #score = 0;

  /** @param options - whether the stream is seen from its beginning, and the model */
  constructor(options: ClassifierOptions = {}) {
    this.#model = options.model ?? defaultModel();
    this.#fromStart = options.fromStart ?? false;
  }

  /**
   * Forgets the stream, so that this classifier can judge another one without any allocation.
   *
   * @param fromStart - the next byte pushed is the first of its stream
   */
  clear(fromStart = false): void {
    this.#statistics.clear();
    this.#fromStart = fromStart;
    this.#judgedBytes = -1;
  }

  /**
   * Adds the next piece of the stream. Bytes beyond {@link CLASSIFY_BYTES_MAX} are ignored.
   *
   * @param bytes - holds the piece
   * @param from - offset of its first byte
   * @param to - offset just past its last byte
   */
  push(bytes: Uint8Array, from = 0, to: number = bytes.length): void {
    const end = Math.min(to, from + CLASSIFY_BYTES_MAX - this.bytes);
    if (end <= from) return;
    if (this.bytes < SIGNATURE_REACH_BYTES) {
      const wanted = Math.min(end, from + SIGNATURE_REACH_BYTES - this.bytes);
      this.#beginning.set(bytes.subarray(from, wanted), this.bytes);
    }
    this.#statistics.push(bytes, from, end);
  }

  /** Bytes taken into account. */
  get bytes(): number {
    return this.#statistics.bytes;
  }

  /** No further byte will change the answer: the stream need not be kept for this classifier. */
  get enough(): boolean {
    return this.bytes >= CLASSIFY_BYTES_MAX;
  }

  /** Shannon entropy, in bits per byte. */
  get entropy(): number {
    return this.#statistics.entropy;
  }

  /** Name of the format whose signature the stream begins with. */
  get signature(): string | undefined {
    return this.#signature()?.name;
  }

  /**
   * Probability that the stream is encrypted, from 0 to 1, when both answers are equally likely beforehand.
   */
  get probability(): number {
    if (this.bytes === 0) return 0.5;
    if (this.#isText()) return 0;
    this.#judge();
    const logit = this.#model.calibration.logit(this.#score, this.bytes);
    const weighed = logit + this.#signatureShift();
    return 1 / (1 + Math.exp(-weighed * Math.min(1, this.bytes / CLASSIFY_BYTES_MIN)));
  }

  /**
   * The verdict.
   *
   * @param budget - share of flows that are not encrypted and may be called encrypted, from 0 to 1; 1 binds
   *   the verdict to no budget: "encrypted" then needs a probability of {@link CONFIDENCE_MIN} only
   */
  verdict(budget: number = FALSE_POSITIVE_BUDGET): StreamVerdict {
    if (this.#isText()) return "plain";
    if (this.bytes < CLASSIFY_BYTES_MIN) return "undecided";
    const { probability } = this;
    if (probability >= CONFIDENCE_MIN) return this.#keepsBudget(budget) ? "encrypted" : "undecided";
    if (probability > 1 - CONFIDENCE_MIN) return "undecided";
    return this.#isPlain() ? "plain" : "compressed";
  }

  #keepsBudget(budget: number): boolean {
    if (budget >= 1) return true;
    return this.#score + this.#signatureShift() >= this.#model.calibration.threshold(budget, this.bytes);
  }

  #signature(): Signature | undefined {
    return this.#fromStart ? findSignature(this.#beginning, this.bytes) : undefined;
  }

  #signatureShift(): number {
    return weighSignature(this.#score, this.bytes, this.#signature()) - this.#score;
  }

  #isText(): boolean {
    const { bytes, counts } = this.#statistics;
    if (bytes < TEXT_BYTES_MIN) return false;
    for (let value = 0; value < counts.length; value++) {
      if (!isPrintable(value) && (counts[value] ?? 0) > 0) return false;
    }
    return true;
  }

  #row(): Float64Array {
    const { bank } = this.#model;
    const row = rowOf(FEATURE_NAMES.length + bank.outputs);
    fillFeatures(this.#statistics, bank, row);
    return row;
  }

  #isPlain(): boolean {
    return this.#model.plain.score(this.#row()) > 0;
  }

  #judge(): void {
    if (this.#judgedBytes === this.bytes) return;
    this.#score = this.#model.encrypted.score(this.#row());
    this.#judgedBytes = this.bytes;
  }
}

let sharedRow = new Float64Array(0);

function rowOf(length: number): Float64Array {
  if (sharedRow.length < length) sharedRow = new Float64Array(length);
  return sharedRow;
}

/** What one fragment is. */
export interface FragmentClass {
  /** The verdict. */
  verdict: StreamVerdict;
  /** Probability that it is encrypted, from 0 to 1. */
  probability: number;
}

/**
 * Judges one fragment by itself.
 *
 * @param bytes - a piece of a stream; at most {@link CLASSIFY_BYTES_MAX} bytes are looked at
 * @param options - whether the piece is the beginning of its stream, and the model
 * @param budget - as for {@link StreamClassifier.verdict}; unbound by default
 * @example
 * ```ts
 * classifyFragment(payload).verdict; // "encrypted" | "compressed" | "plain" | "undecided"
 * ```
 */
export function classifyFragment(
  bytes: Uint8Array,
  options: ClassifierOptions = {},
  budget = 1,
): FragmentClass {
  const classifier = classifierFor(options.model ?? defaultModel());
  classifier.clear(options.fromStart);
  classifier.push(bytes);
  return { verdict: classifier.verdict(budget), probability: classifier.probability };
}

// One classifier serves all fragments of a model: making its counters costs as much as using them.
let shared: { model: ClassifierModel; classifier: StreamClassifier } | undefined;

function classifierFor(model: ClassifierModel): StreamClassifier {
  if (shared?.model !== model) shared = { model, classifier: new StreamClassifier({ model }) };
  return shared.classifier;
}
