/** One line for each fragment of a file: what `postern classify` prints. */

import { CLASSIFY_BYTES_MAX, classifyFragment, type StreamVerdict } from "./classifier.ts";
import { hedge, type HedgeOptions, type HedgeVerdict } from "./hedge.ts";

/** Fragment size of `postern classify` without `--size`, in bytes. */
export const FRAGMENT_BYTES = 4096;

/** What is said about one fragment, in the order in which it is printed. */
export interface FragmentReport {
  /** Name of the file. */
  file: string;
  /** Where the fragment begins in the file, in bytes. */
  offset: number;
  /** Length of the fragment, in bytes. */
  bytes: number;
  /** The classifier's verdict. */
  verdict: StreamVerdict;
  /** How sure it is: probability of the likelier of "encrypted" and "not encrypted", from 0.5 to 1. */
  confidence: number;
  /** What HEDGE says. */
  hedge: HedgeVerdict;
}

/** Settings of {@link reportFragment}. */
export interface ReportOptions extends HedgeOptions {
  /**
   * Share of flows that are not encrypted and may be called encrypted; 1, the default, binds to no budget.
   */
  budget?: number;
}

const DIGITS = 1e4;

/**
 * Judges one fragment of a file. A fragment at offset 0 may carry a file signature; every other is judged by
 * itself.
 *
 * @param file - name of the file
 * @param offset - where the fragment begins, in bytes
 * @param fragment - its bytes; the classifier looks at the first {@link CLASSIFY_BYTES_MAX}
 * @param options - budget and HEDGE's γ
 */
export function reportFragment(
  file: string,
  offset: number,
  fragment: Uint8Array,
  options: ReportOptions = {},
): FragmentReport {
  const { verdict, probability } = classifyFragment(
    fragment,
    { fromStart: offset === 0 },
    options.budget ?? 1,
  );
  const confidence = Math.round(Math.max(probability, 1 - probability) * DIGITS) / DIGITS;
  return { file, offset, bytes: fragment.length, verdict, confidence, hedge: hedge(fragment, options) };
}

/**
 * Judges a whole file, fragment by fragment; the last one may be shorter.
 *
 * @param file - name of the file
 * @param content - all its bytes
 * @param size - bytes of a fragment, from 1 to {@link CLASSIFY_BYTES_MAX}
 * @param options - budget and HEDGE's γ
 * @throws {RangeError} when the size is out of range
 */
export function* reportFile(
  file: string,
  content: Uint8Array,
  size: number = FRAGMENT_BYTES,
  options: ReportOptions = {},
): Generator<FragmentReport> {
  if (!Number.isInteger(size) || size < 1 || size > CLASSIFY_BYTES_MAX) {
    throw new RangeError(`fragments of ${size} bytes: 1 to ${CLASSIFY_BYTES_MAX} are possible`);
  }
  for (let offset = 0; offset < content.length; offset += size) {
    yield reportFragment(file, offset, content.subarray(offset, offset + size), options);
  }
}
