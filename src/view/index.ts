export type { FilterConditions } from "./filter-conditions.ts";
export { type FlowPredicate, StateFilter } from "./filter.ts";
export type { FilterNode } from "./filter-node.ts";
export type { FilterNames } from "./filter-parser.ts";
export type { FlowFacts, FlowSubject } from "./flow-facts.ts";
export { type IsLocal, type KernelContext, KernelFlow, type OffloadMark } from "./kernel-flow.ts";
export { DATAGRAM_LEVEL, kernelTcpLevels, levelName, TCP_LEVEL, TRACKER_LEVELS } from "./level.ts";
export { type ListingOptions, listingLines, sizeText, spanText } from "./listing.ts";
export { kernelTuples, mergeStates, ownTuple, StateMerger } from "./merge.ts";
export { averageRate, RateMeter, type RateOf, SORT_KEYS, type SortKey, sortStates } from "./order.ts";
export { PF_LIMITS, pfLimit, pfProfile, pfTimeout, profileOf } from "./pf-limits.ts";
export { protocolName, protocolNumber } from "./protocol-name.ts";
export {
  STATE_DIRECTION,
  STATE_END,
  type State,
  type StateAnchor,
  type StateDirection,
  type StateFlags,
  type StateKernel,
  type StateKey,
  type StateOffload,
  type StatePeer,
  type StateRule,
  type StateSource,
  type StateVerdict,
} from "./state.ts";
export { StateFacts } from "./state-facts.ts";
export { parseStateId, type StateIdParts, trackerStateId } from "./state-id.ts";
export {
  type DirectionStatus,
  type FamilyStatus,
  type InterfaceStatus,
  type KernelStatus,
  STATUS_COUNTERS,
  type StateStatus,
  type StatusCounter,
  type StatusFacts,
  stateStatus,
  statusLines,
  sumInterfaces,
  type TableActivity,
} from "./status.ts";
export {
  type FlowDetails,
  type FlowNames,
  type FlowTableReader,
  type RuleNames,
  type StateOrigin,
  TrackerFlow,
} from "./tracker-flow.ts";
export { chapterLines, endsText, verboseLines } from "./verbose.ts";
