export {
  CLASSIFY_BYTES_MAX,
  CLASSIFY_BYTES_MIN,
  CONFIDENCE_MIN,
  type ClassifierOptions,
  classifyFragment,
  FALSE_POSITIVE_BUDGET,
  type FragmentClass,
  StreamClassifier,
  type StreamVerdict,
} from "./classifier.ts";
export { defaultModel, defaultModelBytes } from "./default-model.ts";
export {
  FRAGMENT_BYTES,
  type FragmentReport,
  type ReportOptions,
  reportFile,
  reportFragment,
} from "./fragment-report.ts";
export {
  CHI_SQUARE_DEVIATION,
  CHI_SQUARE_MEAN,
  HEDGE_BYTES_MIN,
  HEDGE_GAMMA,
  HEDGE_SIGNIFICANCE,
  type HedgeFailure,
  type HedgeOptions,
  type HedgeVerdict,
  hedge,
  hedgeFailure,
} from "./hedge.ts";
export {
  BYTE_VALUES,
  chiSquare,
  chiSquarePercentage,
  countBytes,
  ENTROPY_GATE,
  entropyOfCounts,
  passesEntropyGate,
  shannonEntropy,
} from "./histogram.ts";
export { type ClassifierModel, decodeModel, MODEL_VERSION } from "./model.ts";
export {
  approximateEntropy,
  blockFrequency,
  type CumulativeSums,
  countOnes,
  cumulativeSums,
  monobit,
  PATTERN_BITS_MAX,
  runs,
  type SerialProbabilities,
  serial,
} from "./randomness.ts";
export { findSignature, type Signature, SIGNATURE_REACH_BYTES, SIGNATURES } from "./signatures.ts";
export { chiSquareProbability, erfc, normalCumulative, upperIncompleteGamma } from "./special-functions.ts";
