export {
  DEFAULT_PINHOLE_SOCKET,
  DEFAULT_SOCKET,
  type FirewallStatus,
  type KillAnswer,
  type KillRequest,
  type ProblemDetails,
  type ProblemReport,
  type ReloadAnswer,
  type ReloadRequest,
  type StateQuery,
  type TableSource,
  type WatchEvent,
  type QueueStatus,
  type WorkerStatus,
} from "./api.ts";
export type {
  FlowCause,
  FlowEvidence,
  FlowJudge,
  FlowReport,
  FlowRule,
  RuleHits,
} from "./flow-api.ts";
export type { RuleName, RuleReport, RulesReport, TrafficCount } from "./rule-api.ts";
export { ApiError, callApi, streamApi } from "./connection.ts";
export { type ConnectOptions, connect, FirewallClient } from "./firewall-client.ts";
export type { State, StateKey, StatePeer } from "../view/index.ts";
export type {
  LimitReport,
  TableChangeReport,
  TableChangeRequest,
  TableCreation,
  TableEntryReport,
  TableOutcome,
  TableReport,
  TableTestReport,
} from "./table-api.ts";
export {
  type FleetOptions,
  type FleetOutcome,
  type FleetResult,
  type FleetStatus,
  PinholeFleet,
} from "./pinhole-fleet.ts";
export {
  type ApplyOptions,
  connectPinholes,
  PinholeClient,
  type WatchOptions,
} from "./pinhole-client.ts";
export { PinholeError, type PinholePlace } from "./pinhole-connection.ts";
export {
  endpoint,
  type EndpointSpec,
  type PinholeBackendReport,
  type PinholeCapabilities,
  type PinholeEvent,
  type PinholeGroupReport,
  type PinholeOperation,
  type PinholeProblem,
  type PinholeQuery,
  type PinholeReport,
  type PinholeSpec,
  type PinholeStatus,
  type PinholeWish,
  PROTOCOL_NUMBERS,
  type ProtocolWord,
} from "./pinhole-api.ts";
export { PinholeTransaction } from "./pinhole-transaction.ts";
export {
  DEFAULT_SIMCO_PORT,
  SimcoConnection,
  type SimcoListener,
  type SimcoMiddlebox,
} from "./simco-connection.ts";
export { type KeeperEvent, type KeeperOptions, type KeptRule, SimcoKeeper } from "./simco-keeper.ts";
export { simcoEnds } from "./simco-ends.ts";
export { DIRECTION, PARITY } from "../simco/index.ts";
