export {
  type AccessProfile,
  ADMINISTRATOR_PROFILE,
  type Agent,
  checkRight,
  DEFAULT_PROFILE,
  parseProfile,
  type ProfileSpec,
  RIGHTS,
  type Right,
  type WildcardRights,
} from "./access-profile.ts";
export type { AnswerName, KeptAnswer } from "./answer-memory.ts";
export type {
  BackendAbilities,
  Cut,
  DesiredState,
  Drift,
  Overrun,
  PinholeBackend,
  PreparedPlan,
  Restoration,
  Traffic,
} from "./backend.ts";
export { FLOWS_NOTED_MAX } from "./backend.ts";
export { UndoLog } from "./undo-log.ts";
export { BoxIndex, endpointsMeet, pairsMeet } from "./box-index.ts";
export type {
  CommitAnswer,
  CommitOptions,
  CommitOutcome,
  CommitRequest,
  OperationAnswer,
  PreparedCommit,
} from "./commit.ts";
export {
  ANY_PROTOCOL,
  type Box,
  type Element,
  ELEMENT_ROLES,
  type ElementRole,
  FILTER_ROLES,
  type FilterRole,
  isTranslation,
  makeElement,
  type StandingElement,
  TRANSLATION_ROLES,
  type TranslationRole,
  type TranslationWay,
} from "./element.ts";
export {
  ALL_PORTS,
  allAddresses,
  Endpoint,
  hostEndpoint,
  isAllPorts,
  PORT_MAX,
  portCount,
  type PortRange,
} from "./endpoint.ts";
export {
  EventLog,
  type MissedEvents,
  PINHOLE_EVENT_TYPES,
  PinholeEventRecord,
  type PinholeEventType,
  type PinholeNews,
} from "./event-log.ts";
export type { Entropy } from "./identifier.ts";
export {
  concerns,
  forwardPacket,
  type Judgement,
  judgePacket,
  type PacketFacts,
  type Passage,
} from "./judgement.ts";
export type { LimitHit } from "./limit-hits.ts";
export type { EnforcedLimit, KernelPlan, PinholeLimits, StandingLimits } from "./kernel-plan.ts";
export { type EndReason, LIFE_CYCLE, nextState, type PinholeState } from "./life-cycle.ts";
export type { Moment } from "./moment.ts";
export { mayChange, maySee } from "./operations.ts";
export { type Pinhole, type PinholeGroup, type PinholeView, remainingSeconds, viewOf } from "./pinhole.ts";
export type { Pair } from "./pair-index.ts";
export type { PoolPlan, PortLease } from "./port-pool.ts";
export { packPinhole, unpackPinhole } from "./record.ts";
export type { JournalChanges, JournalContents, JournalHead, PinholeRecord } from "./record.ts";
export {
  PinholeRefusal,
  type RefusalCode,
  type RefusalContext,
  type RefusalFacts,
  REFUSALS,
} from "./refusal.ts";
export {
  type EndpointSpec,
  hasPorts,
  type NatMode,
  type NatSpec,
  type Parity,
  type PinholeDirection,
  type PinholeKind,
  PinholeRequest,
  type PinholeSpec,
  type PortMode,
} from "./specification.ts";
export { PinholeStore, type StoreOptions } from "./store.ts";
export type { PinholeFilter, PinholePage } from "./pinhole-list.ts";
export { limitsFor } from "./workbench.ts";
export { type Operation, type PinholeRef, type StagedOperation, Transaction } from "./transaction.ts";
export type { TranslationPlan } from "./translation.ts";
