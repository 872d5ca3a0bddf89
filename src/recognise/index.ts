export { ByteWindow } from "./byte-window.ts";
export { type Cryptography, nodeCryptography } from "./crypto.ts";
export { Evidence, type HandOver } from "./evidence.ts";
export { type DatagramPayload, ENOUGH, FlowRecognition } from "./flow-recognition.ts";
export {
  checkRecogniser,
  OWN_FAILURES_MAX,
  OWN_LOOKS_MAX,
  type RecogniserFailure,
} from "./own-recogniser.ts";
export { icmpRecognition, protocolRecognition } from "./network-protocol.ts";
export {
  type Answer,
  CONFIDENCE,
  type Confidence,
  type ConfidenceName,
  confidenceName,
  DONE,
  type Facts,
  HANDED_OVER,
  NO_MATCH,
  OTHER_SIDE,
  type Recogniser,
  type Recognition,
  type Transport,
} from "./recogniser.ts";
export {
  DEFAULT_RECOGNITION_LIMITS,
  type RecognitionLimits,
  RecogniserSet,
  type RecogniserSetOptions,
} from "./recogniser-set.ts";
